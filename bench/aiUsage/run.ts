import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { v7 as uuidV7 } from 'uuid';
import type { parseEvents } from '../../src/intake/events/parseEvents.ts';
import { asNative, makeEvent, seededRandom, TENANT } from '../load/workload.ts';
import { buildService } from '../support/buildService.ts';
import { atLeast, orUsage, whole } from '../support/commandLine.ts';
import { median } from '../support/percentiles.ts';
import { keepResults } from '../support/results.ts';
import { figure, table } from '../support/table.ts';

/*
 * What reading usage objects costs an event: the same build with and without it, by turns, in this process alone. README.md
 * says how to run it.
 */

const USAGE = 'npm run bench:aiUsage -- [--rounds N] [--events N] [--no-build]';
const { rounds, events, build } = orUsage(USAGE, () => {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '15' },
      /** Of one measurement. */
      events: { type: 'string', default: '100000' },
      'no-build': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) throw new Error('');
  const rounds = whole(values.rounds);
  return { rounds, events: atLeast(values.events, 1_000), build: !values['no-build'] };
});

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Events of a body. */
const BATCH = 500;

const OPENAI_CHAT = {
  prompt_tokens: 1_000,
  completion_tokens: 300,
  total_tokens: 1_300,
  prompt_tokens_details: { cached_tokens: 800, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: 200,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0,
  },
};
const ANTHROPIC = {
  input_tokens: 136,
  output_tokens: 300,
  cache_read_input_tokens: 800,
  cache_creation_input_tokens: 64,
  cache_creation: { ephemeral_5m_input_tokens: 64, ephemeral_1h_input_tokens: 0 },
  output_tokens_details: { thinking_tokens: 200 },
  server_tool_use: null,
  service_tier: 'standard',
};
const GEMINI = {
  promptTokenCount: 1_000,
  cachedContentTokenCount: 800,
  candidatesTokenCount: 100,
  thoughtsTokenCount: 200,
  totalTokenCount: 1_300,
  promptTokensDetails: [{ modality: 'TEXT', tokenCount: 1_000 }],
};
const AI_SDK = {
  inputTokens: 1_000,
  inputTokenDetails: { noCacheTokens: 136, cacheReadTokens: 800, cacheWriteTokens: 64 },
  outputTokens: 300,
  outputTokenDetails: { textTokens: 100, reasoningTokens: 200 },
  totalTokens: 1_300,
};

/** What is put into the metadata of each event, and what is taken away. */
const CASES: Record<string, object | null> = {
  'columns alone': null,
  'metadata of its own': { region: 'eu-1', feature: 'chat', cached: true },
  'OpenAI chat': { usage: OPENAI_CHAT },
  Anthropic: { usage: ANTHROPIC },
  Gemini: { usageMetadata: GEMINI },
  'AI SDK': { usage: AI_SDK },
  'unknown shape': { usage: { tokensIn: 1_000, tokensOut: 300 } },
};

type Parse = typeof parseEvents;

/** The build, and a copy in which no usage object is looked for. */
async function bothBuilds(folder: string): Promise<{ with: Parse; without: Parse }> {
  await cp(join(ROOT, 'dist'), folder, { recursive: true });
  const stub =
    'export const USAGE_MEMBERS = [];\n' +
    'export const isEventOfStream = () => false;\nexport const normaliseUsage = () => null;\n';
  await writeFile(join(folder, 'intake/events/aiUsage/normaliseUsage.js'), stub);
  const load = async (dist: string) => {
    const module = await import(pathToFileURL(join(dist, 'intake/events/parseEvents.js')).href);
    return (module as { parseEvents: Parse }).parseEvents;
  };
  return { with: await load(join(ROOT, 'dist')), without: await load(folder) };
}

function bodyOf(added: object | null): Buffer {
  const random = seededRandom(1);
  const batch = Array.from({ length: BATCH }, () => {
    const event = asNative(makeEvent(random, uuidV7(), Date.now() * 1_000));
    if (added === null) return event;
    const {
      inputTokens: _,
      outputTokens: __,
      tokens: ___,
      ...metadata
    } = event.metadata as Record<string, unknown>;
    return { ...event, metadata: { ...metadata, ...added } };
  });
  return Buffer.from(JSON.stringify(batch));
}

const RULES = {
  tenantId: TENANT,
  earliestMicros: Number.NaN,
  latestMicros: Number.NaN,
  receivedMicros: Date.now() * 1_000,
};

/** @returns µs an event. */
function measure(parse: Parse, body: Buffer): number {
  const repetitions = Math.ceil(events / BATCH);
  const began = process.cpuUsage();
  for (let i = 0; i < repetitions; i++) {
    const { faults } = parse(body, { dialect: 'native', framing: 'json' }, RULES, BATCH);
    if (faults.length > 0) throw new Error(JSON.stringify(faults[0]));
  }
  const { user, system } = process.cpuUsage(began);
  return (user + system) / (repetitions * BATCH);
}

const started = new Date();
if (build) buildService();
const RESULTS = join(ROOT, 'bench/results');
await mkdir(RESULTS, { recursive: true });
const folder = await mkdtemp(join(RESULTS, 'without-'));
try {
  const builds = await bothBuilds(folder);
  const rows: string[][] = [];
  const results: Record<string, object> = {};
  for (const [name, added] of Object.entries(CASES)) {
    const body = bodyOf(added);
    const pairs: { with: number; without: number }[] = [];
    for (let round = -2; round < rounds; round++) {
      const order = ['with', 'without'] as const;
      const pair = { with: 0, without: 0 };
      // Every other round goes backwards.
      for (const which of round % 2 === 0 ? order : order.toReversed()) {
        pair[which] = measure(builds[which], body);
      }
      if (round >= 0) pairs.push(pair);
    }
    const costs = pairs.map((pair) => pair.with - pair.without).sort((a, b) => a - b);
    const of = (which: 'with' | 'without') => median(pairs.map((pair) => pair[which]));
    const cost = median(costs);
    results[name] = { with: of('with'), without: of('without'), cost, costs };
    rows.push([
      name,
      figure(body.length / BATCH),
      figure(of('without')),
      figure(of('with')),
      figure(cost),
      `${figure(costs[0])} – ${figure(costs.at(-1))}`,
    ]);
  }
  const head = ['metadata', 'bytes an event', 'without, µs', 'with, µs', 'cost, µs', 'min–max'];
  console.log(table(head, rows));
  console.log(await keepResults('aiUsage', started, { rounds, events, results }));
} finally {
  await rm(folder, { recursive: true, force: true });
}

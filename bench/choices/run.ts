import { parseArgs } from 'node:util';
import { type CopyRun, runCopies, sendAtOnce } from '../load/copyWriters.ts';
import { fillRandomIds, fillSortedIds, fillTimeOrderedIds } from '../load/eventIds.ts';
import type { Shape, Timing } from '../load/measurement.ts';
import { measureTidemark, type ServiceVariant } from '../services/httpServices.ts';
import { buildService } from '../support/buildService.ts';
import { onEachEngine } from '../support/engines.ts';
import { interruption } from '../support/interruption.ts';
import { median } from '../support/percentiles.ts';
import { keepResults } from '../support/results.ts';
import { runToEnd } from '../support/runToEnd.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import { figure, table } from '../support/table.ts';
import { inWorkplace } from '../support/workplace.ts';
import { readWindows } from './isolation.ts';
import { MAKE_UNTOLD, sendAsLogin, sendEntered, sendStepwise, sendUntold } from './stepwiseCopy.ts';

/*
 * What the choices in docs/adr/ rest on: each against its alternatives, measured in turn. README.md says how to run
 * and read it.
 */

interface Variant {
  name: string;
  measure(context: Context): Promise<Rate>;
}

interface Rate {
  eventsPerSecond: number;
  /** Processor time that the machine spent on something else. */
  otherCores: number | null;
}

interface Context {
  server: BenchServer;
  timing: Timing;
  folder: string;
}

/** Ratios are to the first variant, the one that Tidemark uses where it can. */
interface Question {
  key: string;
  title: string;
  variants: Variant[];
}

interface Answer {
  question: string;
  variant: string;
  eventsPerSecond: number;
  range: [number, number];
  /** To the first variant of the question. */
  ratio: number;
  /** The largest of the rounds. */
  otherCores: number;
}

const USUAL: Pick<CopyRun, 'connections' | 'rows' | 'format' | 'fillIds' | 'send'> = {
  connections: 2,
  rows: 5_000,
  format: 'binary',
  fillIds: fillSortedIds,
  send: sendAtOnce,
};

/** Raw COPY into a fresh database, different from the usual in one thing or two. */
function copying(name: string, variant: Partial<typeof USUAL> & { prepare?: string }): Variant {
  const { prepare, ...difference } = variant;
  return {
    name,
    async measure({ server, timing }) {
      const database = await server.createDatabase('migrated');
      try {
        if (prepare) await withClient(database.url, (client) => client.query(prepare));
        const { postmaster } = server;
        const run = { ...USUAL, ...difference, url: database.url, postmaster, ...timing };
        const { rowsPerSecond, usage } = await runCopies(run);
        return { eventsPerSecond: rowsPerSecond, otherCores: usage.otherCores };
      } finally {
        await database.drop();
      }
    },
  };
}

/** The service under load over HTTP. */
function serving(name: string, shape: Shape, variant: ServiceVariant): Variant {
  return {
    name,
    async measure({ server, timing, folder }) {
      const measured = await measureTidemark(server, shape, timing, folder, variant);
      if (measured.problems.length > 0) throw new Error(`${name}: ${measured.problems.join('; ')}`);
      return { eventsPerSecond: measured.eventsPerSecond, otherCores: measured.usage.otherCores };
    },
  };
}

const SHAPE_NAMES = { batches: '500 events × 8', single: '1 event × 64' } satisfies Record<Shape, string>;
const shapes = Object.keys(SHAPE_NAMES) as Shape[];

/** Somebody else listens to everything: what that costs those who do not. */
const ANOTHER_LISTENS = `
  insert into tenant (id, name) values ('listener', 'listener');
  insert into subscription (tenant_id, message_types, stream)
    values ('listener', array['record.processed', 'alert.triggered', 'usage.threshold'], 'out');
  insert into alert_rule (tenant_id, kind, field, threshold)
    select 'listener', 'event', 'tokens', n from generate_series(1, 100) as n`;

/** The service as it was, if it has been built somewhere, against the service as it is. */
function sinceBaseline(module: string): Question[] {
  return shapes.map((shape) => ({
    key: 'baseline',
    title: `the service and its baseline, ${SHAPE_NAMES[shape]} connections`,
    variants: [serving('this', shape, {}), serving('baseline', shape, { module })],
  }));
}

const QUESTIONS: Question[] = [
  ...[1, 2].map((connections) => ({
    key: 'format',
    title: `COPY format, 5,000 rows a commit, ${connections} connection${connections > 1 ? 's' : ''}`,
    variants: [
      copying('binary', { connections, format: 'binary' }),
      copying('text', { connections, format: 'text' }),
    ],
  })),
  {
    key: 'connections',
    title: 'connections, raw COPY, 5,000 rows a commit',
    variants: [2, 1, 4].map((connections) => copying(String(connections), { connections })),
  },
  ...shapes.map((shape) => ({
    key: 'writers',
    title: `writers of the service, ${SHAPE_NAMES[shape]} connections`,
    variants: ['2', '1', '4'].map((writers) => serving(writers, shape, { env: { INGEST_WRITERS: writers } })),
  })),
  ...shapes.map((shape) => ({
    key: 'linger',
    title: `wait of the group commit, ${SHAPE_NAMES[shape]} connections`,
    variants: ['0', '5'].map((ms) =>
      serving(`${ms} ms`, shape, {
        env: { LINGER_MS: ms },
        module: new URL('lingering.ts', import.meta.url),
      }),
    ),
  })),
  ...[1, 50, 5_000].map((rows) => ({
    key: 'roundtrips',
    title: `lock, two COPYs, commit: ${figure(rows)} row${rows > 1 ? 's' : ''} a commit, 1 connection`,
    variants: [
      copying('one round trip', { connections: 1, rows, send: sendEntered }),
      copying('step by step, pg-copy-streams', { connections: 1, rows, send: sendStepwise }),
    ],
  })),
  {
    key: 'ids',
    title: 'event ids, in key order, 2 connections',
    variants: [
      copying('UUIDv4', { fillIds: fillSortedIds }),
      copying('UUIDv7', { fillIds: fillTimeOrderedIds }),
    ],
  },
  {
    key: 'order',
    title: 'identities of a batch (UUIDv4), 2 connections',
    variants: [
      copying('in key order', { fillIds: fillSortedIds }),
      copying('as they come', { fillIds: fillRandomIds }),
    ],
  },
  ...[1, 5_000].map((rows) => ({
    key: 'roles',
    title: `role of the writer, ${figure(rows)} row${rows > 1 ? 's' : ''} a commit, 1 connection`,
    variants: [
      copying('tidemark_ingest', { connections: 1, rows, send: sendEntered }),
      copying('the login', { connections: 1, rows, send: sendAsLogin }),
    ],
  })),
  ...[1, 5_000].map((rows) => ({
    key: 'interest',
    title: `asking whether who listens is known, ${figure(rows)} row${rows > 1 ? 's' : ''} a commit, 1 connection`,
    variants: [
      copying('asked', { connections: 1, rows, send: sendEntered }),
      copying('not asked', { connections: 1, rows, send: sendUntold, prepare: MAKE_UNTOLD }),
    ],
  })),
  ...shapes.map((shape) => ({
    key: 'interest',
    title: `who listens, none of them of this tenant, ${SHAPE_NAMES[shape]} connections`,
    variants: [serving('nobody', shape, {}), serving('another tenant', shape, { prepare: ANOTHER_LISTENS })],
  })),
  {
    key: 'roles',
    title: 'windows of an hour of a customer, queries/s, 1 connection',
    variants: (['views', 'tables'] as const).map((through) => ({
      name: through,
      measure: async ({ server, timing }) => ({
        eventsPerSecond: await readWindows(server, through, timing),
        otherCores: null,
      }),
    })),
  },
];

const USAGE = `npm run bench:choices -- [options]
  --engine postgres|timescale|both   default both
  --only ${[...new Set(QUESTIONS.map(({ key }) => key))].join(',')}
  --seconds N                        length of one measurement, default 5
  --rounds N                         times that the variants of a question are measured in turn, default 3
  --baseline PATH                    also baseline: this service against the main.js of an earlier version, which must
                                     run on this schema
  --no-build                         measure the dist/ that is there`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      engine: { type: 'string', default: 'both' },
      only: { type: 'string' },
      seconds: { type: 'string', default: '5' },
      rounds: { type: 'string', default: '3' },
      baseline: { type: 'string' },
      'no-build': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const engines = (['postgres', 'timescale'] as const).filter((e) => ['both', e].includes(values.engine));
  const all = [...QUESTIONS, ...(values.baseline === undefined ? [] : sinceBaseline(values.baseline))];
  const questions = all.filter(({ key }) => values.only?.split(',').includes(key) ?? true);
  const seconds = Number(values.seconds);
  const rounds = Number(values.rounds);
  if (engines.length === 0 || questions.length === 0 || !(seconds > 0) || !(rounds > 0)) {
    console.error(USAGE);
    process.exit(2);
  }
  if (!values['no-build'] && questions.some(({ key }) => ['writers', 'interest'].includes(key))) {
    buildService();
  }

  const timing = { durationMs: seconds * 1_000, warmupMs: Math.min(3_000, seconds * 500) };
  const started = new Date();
  const results: { engine: string; server: Record<string, string>; answers: Answer[] }[] = [];
  await inWorkplace((folder) =>
    onEachEngine(engines, folder, async (server) => {
      const answers: Answer[] = [];
      for (const question of questions)
        answers.push(...(await ask(question, { server, timing, folder }, rounds)));
      results.push({ engine: server.engine, server: server.description, answers });
      console.log(`\n## ${server.engine}\n\n${format(answers)}\n`);
    }),
  );
  await keepResults('choices', started, { timing, rounds, results });
}

/** Measures the variants in turn, so that a machine that drifts drifts for all of them. */
async function ask({ title, variants }: Question, context: Context, rounds: number): Promise<Answer[]> {
  const rates: Rate[][] = variants.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, variant] of variants.entries()) {
      interruption.throwIfAborted();
      const rate = await variant.measure(context);
      console.error(
        `${context.server.engine}: ${title}: ${variant.name}: ${figure(rate.eventsPerSecond)} events/s`,
      );
      rates[i]!.push(rate);
    }
  }
  const perSecond = rates.map((all) => all.map((rate) => rate.eventsPerSecond));
  return variants.map(({ name }, i) => {
    const eventsPerSecond = median(perSecond[i]!);
    return {
      question: title,
      variant: name,
      eventsPerSecond,
      range: [Math.min(...perSecond[i]!), Math.max(...perSecond[i]!)],
      ratio: eventsPerSecond / median(perSecond[0]!),
      otherCores: Math.max(...rates[i]!.map((rate) => rate.otherCores ?? Number.NaN)),
    };
  });
}

function format(answers: Answer[]): string {
  const rows = answers.map(({ question, variant, eventsPerSecond, range, ratio, otherCores }, i) => [
    answers[i - 1]?.question === question ? '' : question,
    variant,
    figure(eventsPerSecond),
    `${figure(range[0])}–${figure(range[1])}`,
    figure(ratio),
    figure(otherCores),
  ]);
  return table(['', 'variant', 'events/s', 'min–max', 'ratio', 'other cores'], rows);
}

runToEnd(main);

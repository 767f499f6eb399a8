import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';

/*
 * Runs a scenario for a customer of its own, then compares what was acknowledged with what /v1/usage counts of that
 * customer. Exit code 0: all of it is counted, once, and the scenario's own conditions hold.
 */

const scenario = process.argv[2] ?? 'smoke.yml';
const url = (process.env.TIDEMARK_URL ?? 'http://127.0.0.1:8080').replace(/\/+$/, '');
const key = process.env.TIDEMARK_KEY;
if (!key) fail('TIDEMARK_KEY must be a key of one tenant with the scopes ingest and read');

const started = new Date();
const run = `artillery-${started.toISOString()}`;
const report = `results/${scenario.replace(/\.ya?ml$/, '')}-${started.toISOString().replaceAll(/[:.]/g, '-')}.json`;
await mkdir('results', { recursive: true });
// Artillery compiles the processor to CommonJS, as dist/processor.js.
await mkdir('dist', { recursive: true });
await writeFile('dist/package.json', '{ "type": "commonjs" }\n');
const artillery = spawn('artillery', ['run', '--output', report, scenario], {
  stdio: 'inherit',
  env: {
    ...process.env,
    TIDEMARK_URL: url,
    TIDEMARK_RUN: run,
    ARTILLERY_DISABLE_TELEMETRY: 'true',
  },
});
const [code] = await once(artillery, 'exit');

interface Report {
  aggregate: {
    counters: Record<string, number | undefined>;
    summaries: Record<string, { p50: number; p99: number; max: number } | undefined>;
    firstMetricAt: number;
    lastMetricAt: number;
  };
}
const text = await readFile(report, 'utf8').catch(() => fail(`artillery ended with ${code} and no report`));
const { aggregate } = JSON.parse(text) as Report;
const counter = (name: string) => aggregate.counters[name] ?? 0;
const counted = await usage();
const posted = counter('tidemark.posted');
const acknowledged = {
  calls: counter('tidemark.acknowledged'),
  inputTokens: counter('tidemark.input_tokens'),
  outputTokens: counter('tidemark.output_tokens'),
};
// An answer that never came leaves open whether its events are stored: then only the bounds are known.
const allAnswered = acknowledged.calls === posted;
const right = allAnswered
  ? JSON.stringify(acknowledged) === JSON.stringify(counted)
  : acknowledged.calls <= counted.calls && counted.calls <= posted;

// Not Artillery's own rates, which may be averages over idle time.
const seconds = (aggregate.lastMetricAt - aggregate.firstMetricAt) / 1_000;
const latency = aggregate.summaries['http.response_time'];
console.log(`
customer      ${run}
requests      ${counter('http.requests')} (${(counter('http.requests') / seconds).toFixed(0)}/s over ${seconds.toFixed(1)} s)
events/s      ${(acknowledged.calls / seconds).toFixed(0)}
latency       p50 ${latency?.p50} ms, p99 ${latency?.p99} ms, max ${latency?.max} ms
posted        ${posted}
acknowledged  ${Object.values(acknowledged)
  .join(' events, ')
  .replace(/, (\d+) events, /, ', $1 input, ')} output tokens
counted       ${Object.values(counted)
  .join(' events, ')
  .replace(/, (\d+) events, /, ', $1 input, ')} output tokens
retries       ${counter('tidemark.retried')} batches, nothing added`);
if (!right) fail('the service does not count what it has acknowledged');
if (acknowledged.calls === 0) fail('nothing was acknowledged');
if (code !== 0) fail(`artillery ended with ${code}: see its conditions above`);
console.log('everything acknowledged is counted, once');

/** Sums over all pages. */
async function usage(): Promise<typeof acknowledged> {
  const sums = { calls: 0, inputTokens: 0, outputTokens: 0 };
  const from = new Date(started.getTime() - 60_000).toISOString();
  for (let cursor = ''; ; ) {
    const query = `from=${from}&granularity=1m&customerId=${encodeURIComponent(run)}${cursor}`;
    const response = await fetch(`${url}/v1/usage?${query}`, { headers: { authorization: `Bearer ${key}` } });
    const page = (await response.json()) as { data: (typeof sums)[]; nextCursor: string | null };
    if (!response.ok) fail(`GET /v1/usage: ${response.status} ${JSON.stringify(page)}`);
    for (const point of page.data) {
      sums.calls += point.calls;
      sums.inputTokens += point.inputTokens;
      sums.outputTokens += point.outputTokens;
    }
    if (page.nextCursor === null) return sums;
    cursor = `&cursor=${encodeURIComponent(page.nextCursor)}`;
  }
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

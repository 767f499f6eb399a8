import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { buildProgram } from '../support/buildProgram.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { OtlpReceiver } from '../support/otlpReceiver.ts';
import { anEvent } from '../support/traffic.ts';
import { type Program, runProgram } from './support/runProgram.ts';

const ADMIN_KEY = 'tm_admin_key_of_the_tracing_tests';
/** Prints what is loaded of OpenTelemetry, as it is loaded. */
const WATCH = `data:text/javascript,${encodeURIComponent(`
  import { register } from 'node:module';
  register('data:text/javascript,' + encodeURIComponent(\`
    import { writeSync } from 'node:fs';
    export async function resolve(specifier, context, next) {
      if (specifier.startsWith('@opentelemetry/')) writeSync(2, 'LOADED ' + specifier + '\\\\n');
      return next(specifier, context);
    }\`));
`)}`;

let database: TestDatabase;
let collector: OtlpReceiver;
let program: Program | undefined;

beforeAll(async () => {
  await buildProgram();
  database = await createTestDatabase();
});
beforeEach(async () => {
  collector = await OtlpReceiver.start();
  return async () => {
    program?.child.kill('SIGKILL');
    await program?.exited;
    await collector.stop();
  };
});
afterAll(() => database.drop());

async function start(env: Record<string, string> = {}): Promise<string> {
  program = runProgram(['serve'], {
    TIDEMARK_PROFILE: 'test',
    DATABASE_URL: database.url,
    ADMIN_KEY,
    PORT: '0',
    ...env,
  });
  const [address] = await program.says(/"address":"([^"]+)"/);
  return address!;
}

async function send(address: string): Promise<void> {
  const headers = {
    authorization: `Bearer ${ADMIN_KEY}`,
    'content-type': 'application/json',
    'x-tenant-id': 'traced',
    connection: 'close',
  };
  const post = (path: string, body: unknown) =>
    fetch(address + path, { method: 'POST', headers, body: JSON.stringify(body) });
  await post('/v1/tenants', { id: 'traced', name: 'Traced' });
  expect((await post('/v1/events', anEvent())).status).toBe(200);
}

it('a stop sends the spans that are left', async () => {
  const address = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_BSP_SCHEDULE_DELAY: '60000', // not before
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
  });
  await send(address);
  expect(collector.spans).toEqual([]);
  program!.child.kill('SIGTERM');
  expect(await program!.exited).toBe(0);
  expect(collector.spans.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['POST /v1/tenants', 'POST /v1/events', 'write batch', 'COPY event']),
  );
  expect(collector.spans[0]!.resource['service.name']).toBe('tidemark');
});

it('a collector that never answers delays no request, and a stop by no more than its time', async () => {
  collector.status = undefined;
  const address = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_BSP_SCHEDULE_DELAY: '50',
    DRAIN_TIMEOUT_MS: '2000',
  });
  for (let i = 0; i < 5; i++) await send(address);
  const stopping = Date.now();
  program!.child.kill('SIGTERM');
  expect(await program!.exited).toBe(0);
  expect(Date.now() - stopping).toBeLessThan(4_000);
});

it('a collector that is not there ends nothing', async () => {
  const address = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
    OTEL_EXPORTER_OTLP_TIMEOUT: '500', // it tries again for so long
    OTEL_BSP_SCHEDULE_DELAY: '50',
  });
  await send(address);
  await program!.says(/does not take spans/, 20_000);
  await send(address);
  program!.child.kill('SIGTERM');
  expect(await program!.exited).toBe(0);
});

it('without a collector the SDK is not loaded; with one it is', async () => {
  const watched = { NODE_OPTIONS: `--import ${WATCH}` };
  await send(await start(watched));
  const loaded = () => new Set([...program!.stderr().matchAll(/LOADED (\S+)/g)].map(([, name]) => name));
  expect(loaded()).toEqual(new Set(['@opentelemetry/api']));
  program!.child.kill('SIGTERM');
  await program!.exited;
  await start({ ...watched, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
  expect(loaded()).toContain('@opentelemetry/sdk-trace-base');
});

it('what cannot be is refused at the start, in one line', async () => {
  program = runProgram(['serve'], {
    DATABASE_URL: database.url,
    OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
  });
  expect(await program.exited).toBe(1);
  expect(program.stderr()).toMatch(
    /^tidemark: .*OTEL_EXPORTER_OTLP_ENDPOINT.*OTEL_EXPORTER_OTLP_PROTOCOL.*\n$/,
  );
});

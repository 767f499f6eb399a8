import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { StartupError } from '../../model/errors.ts';
import { ENVIRONMENT } from './environment.ts';
import { loadClientConfig, loadConfig } from './loadConfig.ts';

const VARIABLES = Object.keys(ENVIRONMENT.shape) as (keyof typeof ENVIRONMENT.shape)[];

function refusal(env: Record<string, string>): string {
  try {
    loadConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(StartupError);
    return (error as Error).message;
  }
  return 'accepted';
}

describe('without any variable', () => {
  it('is a service for development', () => {
    expect(loadConfig({})).toEqual({
      profile: 'dev',
      logLevel: 'info',
      http: {
        host: '127.0.0.1',
        port: 8080,
        maxBodyBytes: 8_388_608,
        authFailuresPerMinute: 30,
        trustedProxies: [],
        limits: {
          maxHeaderBytes: 32_768,
          maxUrlBytes: 24_576,
          maxBodyBytes: 8_388_608,
          maxConnections: 10_000,
          keepAliveMs: 65_000,
          headersMs: 10_000,
          requestMs: 15_000,
          silenceMs: 45_000,
        },
        corsOrigins: [],
        console: true,
        hstsSeconds: 0,
        drainDelayMs: 0,
        drainTimeoutMs: 9_000,
      },
      database: {
        url: undefined,
        embeddedPort: 54_329,
        pooler: 'none',
        probeIntervalMs: 1_000,
        probeTimeoutMs: 3_000,
        readPoolSize: 8,
        connectTimeoutMs: 5_000,
        readTimeoutMs: 15_000,
      },
      dataDir: '.tidemark',
      adminKey: undefined,
      previousAdminKey: undefined,
      ingest: {
        writers: 2,
        batchRows: 5_000,
        batchBytes: 8_388_608,
        queueRows: 50_000,
        queueBytes: 33_554_432,
        deadlineMs: 10_000,
        columnsFromRows: 50,
        columnsDays: 7,
        columnsSpanMs: 120_000,
        maxEventsPerRequest: 10_000,
        acceptAheadMs: 600_000,
        acceptBehindMs: 2_592_000_000,
      },
      windows: {
        graceMs: 2_000,
        intervalMs: 1_000,
        retryMs: 250,
        stepMinutes: 30,
        lockTimeoutMs: 500,
        stalledMs: 5_000,
      },
      retention: {
        days: {
          event: null,
          usage_30s: null,
          usage_1h: null,
          usage_1d: null,
          meter_30s: null,
          meter_1h: null,
          meter_1d: null,
          reference_1d: null,
          event_key: 35,
          idempotent_increment: 35,
        },
        columnstoreAfterDays: 7,
        intervalMs: 300_000,
        removeAfterMs: 900_000,
        passEveryMs: 86_400_000,
      },
      limits: { requestsPerSecond: 0, eventsPerSecond: 0, redisUrl: undefined, redisTimeoutMs: 200 },
      meters: { perTenant: 100, file: undefined },
      delivery: {
        intervalMs: 250,
        inFlight: 128,
        inFlightPerEndpoint: 8,
        timeoutMs: 15_000,
        allowedNetworks: [],
        redisUrl: undefined,
        streamMaxLength: 100_000,
        deliveredRetentionMs: 604_800_000,
        deadRetentionMs: 2_592_000_000,
        pendingMs: 604_800_000,
        scheduleMs: [
          ...[0, 5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000],
          ...[50_400_000, 72_000_000, 86_400_000],
        ],
        streamRetryMs: 5_000,
        leaseMs: 30_000,
        breaker: { failures: 5, probeMinMs: 15_000, probeMaxMs: 300_000 },
      },
      live: { store: 'memory', redisUrl: undefined, maxFields: 200, timeoutMs: 200 },
      liveView: { maxStreams: 100, maxStreamsPerTenant: 20, intervalMs: 1_000 },
      sources: { redisStreams: [], tenantId: null },
      telemetry: { traces: null },
    });
  });

  it('takes empty variables for unset, and leaves others alone', () => {
    const empty = Object.fromEntries(VARIABLES.map((name) => [name, '']));
    expect(loadConfig({ ...empty, PATH: '/bin', port: 'x', TIDEMARK: 'x' })).toEqual(loadConfig({}));
  });
});

describe('profiles', () => {
  const prod = {
    TIDEMARK_PROFILE: 'prod',
    DATABASE_URL: 'postgres://u:p@db/tidemark',
    ADMIN_KEY: 'x'.repeat(16),
  };

  it('prod needs a database and an admin key', () => {
    expect(loadConfig(prod)).toMatchObject({
      profile: 'prod',
      database: { url: prod.DATABASE_URL },
      adminKey: prod.ADMIN_KEY,
    });
    expect(refusal({ ...prod, DATABASE_URL: '' })).toBe('the prod profile needs DATABASE_URL');
    expect(refusal({ ...prod, ADMIN_KEY: '' })).toBe('the prod profile needs ADMIN_KEY');
  });

  it('prod waits for the load balancer before it closes, unless told otherwise', () => {
    expect(loadConfig(prod).http.drainDelayMs).toBe(3_000);
    expect(loadConfig({ ...prod, DRAIN_DELAY_MS: '0' }).http.drainDelayMs).toBe(0);
    expect(loadConfig({ DRAIN_DELAY_MS: '70' }).http.drainDelayMs).toBe(70);
  });

  it('prod has no console, unless told otherwise', () => {
    expect(loadConfig(prod).http.console).toBe(false);
    expect(loadConfig({ ...prod, CONSOLE: 'true' }).http.console).toBe(true);
    expect(loadConfig({ CONSOLE: 'false' }).http.console).toBe(false);
  });

  it('counts live in Redis where there is one, in memory only in one process', () => {
    const REDIS_URL = 'redis://localhost';
    expect(loadConfig({ ...prod, REDIS_URL }).live).toMatchObject({ store: 'redis', redisUrl: REDIS_URL });
    expect(loadConfig({ REDIS_URL }).live.store).toBe('redis');
    expect(loadConfig(prod).live.store).toBe('none');
    expect(loadConfig({ TIDEMARK_PROFILE: 'test' }).live.store).toBe('memory');
  });
});

describe('traces', () => {
  it('go where a collector is named, and not otherwise', () => {
    expect(loadConfig({ OTEL_TRACES_SAMPLER: 'always_on' }).telemetry).toEqual({ traces: null });
    const endpoint = 'http://collector:4318';
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint };
    const byDefault = { endpoint, protocol: 'http/protobuf', sampler: 'parentbased_always_on', ratio: 1 };
    expect(loadConfig(env).telemetry.traces).toEqual(byDefault);
    const some = { ...env, OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.25' };
    expect(loadConfig(some).telemetry.traces).toEqual({ ...byDefault, sampler: 'traceidratio', ratio: 0.25 });
  });
});

describe('queues', () => {
  const SOURCE_REDIS_URL = 'redis://queue';

  it('are read from Redis streams, each with its dead letters', () => {
    expect(loadConfig({ SOURCE_REDIS_URL, SOURCE_STREAM: 'usage, clicks' }).sources).toEqual({
      redisStreams: ['usage', 'clicks'].map((stream) => ({
        url: SOURCE_REDIS_URL,
        stream,
        group: 'tidemark',
        deadLetterStream: `${stream}:dead`,
        claimAfterMs: 30_000,
        batchEntries: 500,
      })),
      tenantId: null,
    });
    const own = {
      SOURCE_STREAM: 'usage',
      SOURCE_GROUP: 'billing',
      SOURCE_DEAD_LETTER_STREAM: 'graves',
      SOURCE_TENANT: 'shop',
    };
    expect(loadConfig({ SOURCE_REDIS_URL, ...own }).sources).toMatchObject({
      redisStreams: [{ stream: 'usage', group: 'billing', deadLetterStream: 'graves' }],
      tenantId: 'shop',
    });
  });

  it('need a server and a stream, which is not where dead letters go', () => {
    expect(refusal({ SOURCE_STREAM: 'usage' })).toBe('SOURCE_STREAM needs SOURCE_REDIS_URL');
    expect(refusal({ SOURCE_REDIS_URL })).toBe('SOURCE_REDIS_URL needs SOURCE_STREAM');
    expect(refusal({ SOURCE_REDIS_URL, SOURCE_STREAM: 'a,a:dead' })).toContain('dead-letter stream a:dead');
    const own = { SOURCE_STREAM: 'a', SOURCE_DEAD_LETTER_STREAM: 'a' };
    expect(refusal({ SOURCE_REDIS_URL, ...own })).toContain('dead-letter stream a');
  });
});

describe('retention', () => {
  it('keeps all for ever, but the ids of events', () => {
    expect(loadConfig({ EVENT_RETENTION_DAYS: '90', IDENTITY_HORIZON_DAYS: '0' }).retention.days).toEqual({
      event: 90,
      usage_30s: null,
      usage_1h: null,
      usage_1d: null,
      meter_30s: null,
      meter_1h: null,
      meter_1d: null,
      reference_1d: null,
      event_key: null,
      idempotent_increment: null,
    });
    expect(loadConfig({ COLUMNSTORE_AFTER_DAYS: '0' }).retention.columnstoreAfterDays).toBeNull();
  });

  it.each(['EVENT_RETENTION_DAYS', 'IDENTITY_HORIZON_DAYS'])('%s outlasts what is accepted', (name) => {
    expect(refusal({ [name]: '30' })).toMatch(
      new RegExp(`^${name} must be 0 or longer than ACCEPT_BEHIND_DAYS \\(30\\): `),
    );
    expect(refusal({ [name]: '31' })).toBe('accepted');
    expect(refusal({ [name]: '31', ACCEPT_BEHIND_DAYS: '31' })).toContain(name);
  });

  it('keeps daily summaries for as long as alert rules need them', () => {
    const finer = {
      EVENT_RETENTION_DAYS: '31',
      USAGE_30S_RETENTION_DAYS: '31',
      USAGE_1H_RETENTION_DAYS: '31',
    };
    expect(refusal({ ...finer, USAGE_1D_RETENTION_DAYS: '61' })).toContain('alert rules');
    expect(refusal({ ...finer, USAGE_1D_RETENTION_DAYS: '62' })).toBe('accepted');
  });

  it.each([
    ['USAGE_30S_RETENTION_DAYS', 'EVENT_RETENTION_DAYS', {}],
    ['USAGE_1H_RETENTION_DAYS', 'USAGE_30S_RETENTION_DAYS', { EVENT_RETENTION_DAYS: '100' }],
    [
      'USAGE_1D_RETENTION_DAYS',
      'USAGE_1H_RETENTION_DAYS',
      { EVENT_RETENTION_DAYS: '100', USAGE_30S_RETENTION_DAYS: '100' },
    ],
    ['REFERENCE_RETENTION_DAYS', 'EVENT_RETENTION_DAYS', {}],
  ])('%s is at least %s', (name, source, others) => {
    const env = (days: string, of: string) => ({ ...others, [source]: of, [name]: days });
    expect(refusal(env('99', '100'))).toMatch(
      new RegExp(`^${name} must be 0 or at least ${source} \\(100\\): `),
    );
    expect(refusal(env('99', '0'))).toContain(`${source} (for ever)`);
    expect(refusal(env('100', '100'))).toBe('accepted');
    expect(refusal(env('0', '100'))).toBe('accepted');
  });
});

describe('bad values', () => {
  const bad: Record<string, string[]> = {
    TIDEMARK_PROFILE: ['production', 'DEV'],
    LOG_LEVEL: ['verbose'],
    CONSOLE: ['yes', '1', 'TRUE'],
    DATABASE_URL: ['localhost', 'mysql://localhost/x', 'http://localhost'],
    REDIS_URL: ['localhost:6379', 'http://localhost'],
    SOURCE_REDIS_URL: ['localhost:6379', 'http://localhost'],
    SOURCE_STREAM: [',', 'usage,', 'usage,usage', ' '],
    ADMIN_KEY: ['short', 'x'.repeat(15)],
    ADMIN_KEY_PREVIOUS: ['short', 'x'.repeat(15)],
    TRUSTED_PROXIES: [
      ',',
      '10.0.0.0/8,',
      'localhost',
      '10.0.0',
      '10.0.0.0/33',
      '::/129',
      '::1/-1',
      '10.0.0.1/8/8',
    ],
    OTEL_EXPORTER_OTLP_ENDPOINT: ['collector:4318', 'grpc://collector:4317', '4318'],
    OTEL_EXPORTER_OTLP_PROTOCOL: ['grpc', 'json'],
    OTEL_TRACES_SAMPLER: ['always', 'ratio', 'jaeger_remote'],
    OTEL_TRACES_SAMPLER_ARG: ['-0.1', '1.1', 'half'],
    CORS_ORIGINS: [
      '*',
      'null',
      'example.com',
      'https://a.com/',
      'https://a.com,',
      'https://A.com',
      'ftp://a',
    ],
  };
  const texts = [
    'HOST',
    'DATA_DIR',
    'SOURCE_GROUP',
    'SOURCE_DEAD_LETTER_STREAM',
    'SOURCE_TENANT',
    'METERS_FILE',
  ];
  const numbers = VARIABLES.filter((name) => !(name in bad) && !texts.includes(name));

  it.each(numbers)('%s takes whole numbers within its bounds', (name) => {
    for (const value of [
      '-1',
      '1.5',
      'ten',
      '1e99',
      'Infinity',
      'NaN',
      '10ms',
      '0x',
      '99999999999999999999',
    ]) {
      expect([value, refusal({ [name]: value })]).toEqual([
        value,
        expect.stringMatching(`^configuration is invalid: ${name}: `),
      ]);
    }
  });

  it.each(Object.entries(bad))('%s is none of %j', (name, values) => {
    for (const value of values) {
      const message = refusal({ [name]: value });
      expect(message).toMatch(`configuration is invalid: ${name}: `);
      expect(message).not.toContain('\n');
    }
  });

  it('an admin key before needs the one of now', () => {
    const ADMIN_KEY_PREVIOUS = 'y'.repeat(16);
    expect(refusal({ ADMIN_KEY_PREVIOUS })).toBe('ADMIN_KEY_PREVIOUS needs ADMIN_KEY');
    const config = loadConfig({ ADMIN_KEY: 'x'.repeat(16), ADMIN_KEY_PREVIOUS });
    expect(config).toMatchObject({ adminKey: 'x'.repeat(16), previousAdminKey: ADMIN_KEY_PREVIOUS });
  });

  it('proxies are addresses and ranges', () => {
    const list = loadConfig({ TRUSTED_PROXIES: '10.0.0.0/8, 127.0.0.1,fd00::/8 ,::1' }).http.trustedProxies;
    expect(list).toEqual(['10.0.0.0/8', '127.0.0.1', 'fd00::/8', '::1']);
  });

  it('are all named in one line, secrets left out', () => {
    const message = refusal({ PORT: '70000', ADMIN_KEY: 'hunter2', DATABASE_URL: 'mysql://me:hunter2@db' });
    for (const name of ['PORT', 'ADMIN_KEY', 'DATABASE_URL']) expect(message).toContain(`${name}: `);
    expect(message).not.toMatch(/hunter2|\n/);
  });

  it('headers have no longer than the request they begin', () => {
    expect(refusal({ HEADERS_TIMEOUT_MS: '5000', REQUEST_TIMEOUT_MS: '4000' })).toContain(
      'HEADERS_TIMEOUT_MS',
    );
  });

  it('origins are listed exactly', () => {
    const { corsOrigins } = loadConfig({ CORS_ORIGINS: 'https://a.com, http://localhost:3000' }).http;
    expect(corsOrigins).toEqual(['https://a.com', 'http://localhost:3000']);
  });

  it('of the bounds are still good', () => {
    expect(loadConfig({ PORT: '65535' }).http.port).toBe(65_535);
    expect(loadConfig({ PORT: '0' }).http.port).toBe(0);
    expect(refusal({ PORT: '65536' })).toContain('PORT');
    expect(loadConfig({ INGEST_WRITERS: '16' }).ingest.writers).toBe(16);
    expect(refusal({ INGEST_WRITERS: '0' })).toContain('INGEST_WRITERS');
  });
});

it('README.md lists exactly these variables, with these defaults', async () => {
  const readme = await readFile(new URL('../../../README.md', import.meta.url), 'utf8');
  const listed = [...readme.matchAll(/^\| `([A-Z][A-Z0-9_]+)` \| ([^|]*) \| ([^|]*) \|$/gm)].map(
    ([, name, fallback, meaning]) => {
      expect([name, meaning!.trim()]).not.toEqual([name, '']);
      return [name, fallback!.trim().replace(/^—$/, '').replaceAll('`', '')];
    },
  );
  const defaults = ENVIRONMENT.parse({}) as Record<string, unknown>;
  const expected = VARIABLES.map((name) => [name, String(defaults[name] ?? '')]);
  expect(listed.sort()).toEqual(expected.sort());
});

describe('a client of the service', () => {
  it('goes by a URL, or the port of this machine, and by nothing that only the service needs', () => {
    const dataDir = '.tidemark';
    expect(loadClientConfig({ PORT: '9090', TIDEMARK_PROFILE: 'prod', DATABASE_URL: 'mysql://x' })).toEqual({
      url: 'http://127.0.0.1:9090',
      adminKey: undefined,
      dataDir,
    });
    const adminKey = 'x'.repeat(16);
    expect(loadClientConfig({ TIDEMARK_URL: 'https://usage.example', ADMIN_KEY: adminKey })).toEqual({
      url: 'https://usage.example',
      adminKey,
      dataDir,
    });
  });

  it('is told in one line what is wrong, without the value', () => {
    const wrong = { TIDEMARK_URL: 'ftp://secret@x', ADMIN_KEY: 'short' };
    expect(() => loadClientConfig(wrong)).toThrow(/ADMIN_KEY: needs at least 16 characters/);
    expect(() => loadClientConfig(wrong)).toThrow(/TIDEMARK_URL: /);
    expect(() => loadClientConfig(wrong)).not.toThrow(/secret/);
  });
});

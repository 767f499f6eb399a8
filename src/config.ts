import { isIP } from 'node:net';
import { z } from 'zod';
import { StartupError } from './errors.ts';

const wholeNumber = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

/** Names separated by commas, each once. */
const names = z
  .string()
  .transform((list) => list.split(',').map((name) => name.trim()))
  .refine(
    (list) => list.every((name) => name !== '') && new Set(list).size === list.length,
    'takes names, each once, separated by commas',
  );

const adminKey = z.string().min(16, 'needs at least 16 characters').optional();

/** Addresses and CIDR ranges, separated by commas. */
const addresses = z
  .string()
  .transform((list) => list.split(',').map((entry) => entry.trim()))
  .refine((list) => list.every(isAddressRange), 'takes IP addresses and CIDR ranges, separated by commas');

function isAddressRange(entry: string): boolean {
  const [, address = '', prefix] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
  const version = isIP(address);
  return version !== 0 && Number(prefix ?? 0) <= (version === 4 ? 32 : 128);
}

/** Origins as browsers write them, so that they can be compared as text: `https://console.example.com`. */
const origins = z
  .string()
  .transform((text) => text.split(',').map((origin) => origin.trim()))
  .refine(
    (list) =>
      list.every(
        (origin) => /^https?:/.test(origin) && URL.canParse(origin) && new URL(origin).origin === origin,
      ),
    'takes origins like https://console.example.com, separated by commas; no wildcard, no path',
  );

/**
 * Every variable, its bounds and its default. README.md lists the same table; `config.test.ts` holds
 * the two against each other.
 */
export const ENVIRONMENT = z.object({
  TIDEMARK_PROFILE: z.enum(['dev', 'test', 'prod']).default('dev'),
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: wholeNumber(0, 65_535).default(8080),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),

  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).optional(),
  ADMIN_KEY: adminKey,
  ADMIN_KEY_PREVIOUS: adminKey,
  AUTH_FAILURES_PER_MINUTE: wholeNumber(1, 1_000_000).default(30),
  TRUSTED_PROXIES: addresses.optional(),
  DATA_DIR: z.string().min(1).default('.tidemark'),
  EMBEDDED_PG_PORT: wholeNumber(1, 65_535).default(54_329),

  DATABASE_POOLER: z.enum(['none', 'transaction']).default('none'),
  READ_POOL_SIZE: wholeNumber(1, 100).default(8),
  DB_CONNECT_TIMEOUT_MS: wholeNumber(100, 60_000).default(5_000),
  DB_PROBE_INTERVAL_MS: wholeNumber(50, 60_000).default(1_000),
  DB_PROBE_TIMEOUT_MS: wholeNumber(100, 60_000).default(3_000),
  READ_TIMEOUT_MS: wholeNumber(100, 300_000).default(15_000),

  INGEST_WRITERS: wholeNumber(1, 16).default(2),
  INGEST_BATCH_ROWS: wholeNumber(1, 50_000).default(5_000),
  INGEST_BATCH_BYTES: wholeNumber(65_536, 67_108_864).default(8_388_608),
  INGEST_QUEUE_ROWS: wholeNumber(1, 5_000_000).default(50_000),
  INGEST_QUEUE_BYTES: wholeNumber(65_536, 1_073_741_824).default(33_554_432),
  INGEST_DEADLINE_MS: wholeNumber(100, 120_000).default(10_000),
  MAX_EVENTS_PER_REQUEST: wholeNumber(1, 100_000).default(10_000),
  MAX_BODY_BYTES: wholeNumber(1_024, 67_108_864).default(8_388_608),
  MAX_HEADER_BYTES: wholeNumber(8_192, 262_144).default(32_768),
  MAX_URL_BYTES: wholeNumber(1_024, 262_144).default(24_576),
  MAX_CONNECTIONS: wholeNumber(1, 1_000_000).default(10_000),
  KEEP_ALIVE_TIMEOUT_MS: wholeNumber(100, 3_600_000).default(65_000),
  HEADERS_TIMEOUT_MS: wholeNumber(100, 300_000).default(10_000),
  REQUEST_TIMEOUT_MS: wholeNumber(100, 300_000).default(15_000),
  CORS_ORIGINS: origins.optional(),
  HSTS_SECONDS: wholeNumber(0, 63_072_000).default(0),
  ACCEPT_AHEAD_SECONDS: wholeNumber(0, 86_400).default(600),
  ACCEPT_BEHIND_DAYS: wholeNumber(1, 3_650).default(30),

  WINDOW_GRACE_MS: wholeNumber(0, 600_000).default(2_000),
  CLOSER_INTERVAL_MS: wholeNumber(50, 60_000).default(1_000),
  CLOSER_STEP_MINUTES: wholeNumber(1, 1_440).default(30),
  CLOSER_RETRY_MS: wholeNumber(10, 60_000).default(250),
  CLOSER_LOCK_TIMEOUT_MS: wholeNumber(10, 60_000).default(500),
  CLOSER_STALLED_MS: wholeNumber(100, 600_000).default(5_000),

  RATE_LIMIT_REQUESTS_PER_SECOND: wholeNumber(0, 1_000_000_000).default(0),
  RATE_LIMIT_EVENTS_PER_SECOND: wholeNumber(0, 1_000_000_000).default(0),

  RELAY_INTERVAL_MS: wholeNumber(10, 1_000).default(250),
  RELAY_IN_FLIGHT: wholeNumber(1, 1_000).default(128),
  RELAY_IN_FLIGHT_PER_ENDPOINT: wholeNumber(1, 100).default(8),
  WEBHOOK_TIMEOUT_MS: wholeNumber(100, 30_000).default(15_000),
  WEBHOOK_ALLOWED_NETWORKS: addresses.optional(),
  DELIVERY_STREAM_MAXLEN: wholeNumber(1_000, 100_000_000).default(100_000),
  DELIVERED_RETENTION_DAYS: wholeNumber(1, 365).default(7),
  DEAD_RETENTION_DAYS: wholeNumber(1, 3_650).default(30),

  LIVE_MAX_FIELDS: wholeNumber(1, 10_000).default(200),
  LIVE_TIMEOUT_MS: wholeNumber(10, 10_000).default(200),

  SOURCE_REDIS_URL: z.url({ protocol: /^rediss?$/ }).optional(),
  SOURCE_STREAM: names.optional(),
  SOURCE_GROUP: z.string().min(1).default('tidemark'),
  SOURCE_DEAD_LETTER_STREAM: z.string().min(1).optional(),
  SOURCE_TENANT: z.string().min(1).max(256).optional(),
  SOURCE_CLAIM_AFTER_MS: wholeNumber(100, 3_600_000).default(30_000),
  SOURCE_BATCH_ENTRIES: wholeNumber(1, 10_000).default(500),

  DRAIN_TIMEOUT_MS: wholeNumber(100, 120_000).default(9_000),
  DRAIN_DELAY_MS: wholeNumber(0, 60_000).optional(),
});
export type Environment = z.infer<typeof ENVIRONMENT>;

/** What one connection, and all of them, may cost. */
export interface HttpLimits {
  /** Of request line and headers together. */
  maxHeaderBytes: number;
  maxUrlBytes: number;
  /** Of any body; routes have lower ones. */
  maxBodyBytes: number;
  /** Open at a time; one more is closed at once. */
  maxConnections: number;
  /** How long a connection may wait for its next request, in ms. */
  keepAliveMs: number;
  /** From a request's first byte (or the connection) to the end of its headers, in ms. */
  headersMs: number;
  /** From a request's first byte to the last of its body, in ms. */
  requestMs: number;
  /** How long nothing may move on a connection that owes an answer, in ms. */
  silenceMs: number;
}

/** What the service itself may take is not counted as silence of the client. */
const SILENCE_MS = 30_000;

/** How messages are sent. What no variable sets is here for tests, which cannot wait for hours. */
export interface DeliveryConfig {
  /** Between two looks for messages, in ms. */
  intervalMs: number;
  /** Deliveries that this instance sends at a time. */
  inFlight: number;
  /** Deliveries to one endpoint that all instances together send at a time. */
  inFlightPerEndpoint: number;
  /** Of one attempt in all, in ms. */
  timeoutMs: number;
  /** CIDR ranges that webhooks may lead to although they are not public. */
  allowedNetworks: string[];
  /** Undefined: there are no streams to write to. */
  redisUrl: string | undefined;
  /** Entries that a stream keeps, about. */
  streamMaxLength: number;
  deliveredRetentionMs: number;
  deadRetentionMs: number;
  /** How long a delivery may be pending before it is given up, in ms. */
  pendingMs: number;
  /** Before each attempt, in ms; its length is how many there are. */
  scheduleMs: readonly number[];
  /** Between attempts at a stream, in ms. */
  streamRetryMs: number;
  /** How long a lane is a sender's own, in ms: twice as long as an attempt. What a crash leaves waits that long. */
  leaseMs: number;
  /** After how many failures in a row an endpoint is left alone, and for how long, in ms. */
  breaker: { failures: number; probeMinMs: number; probeMaxMs: number };
}

export interface Config {
  profile: 'dev' | 'test' | 'prod';
  logLevel: Environment['LOG_LEVEL'];
  http: {
    host: string;
    port: number;
    maxBodyBytes: number;
    /** Wrong keys a client address may show before it is slowed down. */
    authFailuresPerMinute: number;
    /** Addresses and CIDR ranges whose X-Forwarded-For is believed. */
    trustedProxies: string[];
    limits: HttpLimits;
    /** Origins whose pages may call `/v1`, exactly as browsers send them; empty: none. */
    corsOrigins: readonly string[];
    /** What browsers are told to remember to come by TLS, in seconds; 0: nothing is said. */
    hstsSeconds: number;
    /** How long readiness answers 503 before the listener closes, in ms. */
    drainDelayMs: number;
    /** How long shutdown may take in all, in ms. */
    drainTimeoutMs: number;
  };
  database: {
    /** Undefined: the embedded PostgreSQL in `dataDir`. */
    url: string | undefined;
    embeddedPort: number;
    /** `transaction`: a pooler lends a server connection for one transaction at a time, so there are no sessions. */
    pooler: 'none' | 'transaction';
    readPoolSize: number;
    connectTimeoutMs: number;
    probeIntervalMs: number;
    probeTimeoutMs: number;
    readTimeoutMs: number;
  };
  dataDir: string;
  adminKey: string | undefined;
  /** The platform key before, which stays valid while its users change over. */
  previousAdminKey: string | undefined;
  ingest: {
    writers: number;
    batchRows: number;
    batchBytes: number;
    queueRows: number;
    queueBytes: number;
    deadlineMs: number;
    maxEventsPerRequest: number;
    acceptAheadMs: number;
    acceptBehindMs: number;
  };
  windows: {
    graceMs: number;
    intervalMs: number;
    retryMs: number;
    stepMinutes: number;
    lockTimeoutMs: number;
    stalledMs: number;
  };
  limits: {
    /** Of each tenant that has none of its own; 0: no limit. */
    requestsPerSecond: number;
    eventsPerSecond: number;
    /** Where instances add up what tenants send; undefined: each on its own. */
    redisUrl: string | undefined;
    redisTimeoutMs: number;
  };
  delivery: DeliveryConfig;
  live: {
    store: 'redis' | 'memory' | 'none';
    redisUrl: string | undefined;
    maxFields: number;
    timeoutMs: number;
  };
  /** Queues that events come from. */
  sources: {
    redisStreams: RedisStreamConfig[];
    /** The tenant of entries that name none; null: their events name their own. */
    tenantId: string | null;
  };
}

export interface RedisStreamConfig {
  url: string;
  stream: string;
  group: string;
  deadLetterStream: string;
  /** How long an entry may be with an instance before another one takes it over, in ms. */
  claimAfterMs: number;
  /** Entries of one read. */
  batchEntries: number;
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** As Standard Webhooks recommends. */
const WEBHOOK_SCHEDULE_MS = [
  ...[0, 5 * SECOND, 5 * MINUTE, 30 * MINUTE],
  ...[2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR),
];

/**
 * Reads and checks the whole configuration. The only place that looks at environment variables.
 *
 * @throws {StartupError} naming every variable that is wrong, in one line.
 */
export function loadConfig(env: Record<string, string | undefined> = process.env): Config {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = ENVIRONMENT.safeParse(present);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new StartupError(`configuration is invalid: ${faults.join('; ')}`);
  }
  const e = parsed.data;
  if (e.TIDEMARK_PROFILE === 'prod') {
    if (!e.DATABASE_URL) throw new StartupError('the prod profile needs DATABASE_URL');
    if (!e.ADMIN_KEY) throw new StartupError('the prod profile needs ADMIN_KEY');
  }
  if (e.ADMIN_KEY_PREVIOUS && !e.ADMIN_KEY) throw new StartupError('ADMIN_KEY_PREVIOUS needs ADMIN_KEY');
  if (e.HEADERS_TIMEOUT_MS > e.REQUEST_TIMEOUT_MS) {
    throw new StartupError('HEADERS_TIMEOUT_MS must not be longer than REQUEST_TIMEOUT_MS');
  }
  return {
    profile: e.TIDEMARK_PROFILE,
    logLevel: e.LOG_LEVEL,
    http: {
      host: e.HOST,
      port: e.PORT,
      maxBodyBytes: e.MAX_BODY_BYTES,
      authFailuresPerMinute: e.AUTH_FAILURES_PER_MINUTE,
      trustedProxies: e.TRUSTED_PROXIES ?? [],
      limits: {
        maxHeaderBytes: e.MAX_HEADER_BYTES,
        maxUrlBytes: e.MAX_URL_BYTES,
        maxBodyBytes: e.MAX_BODY_BYTES,
        maxConnections: e.MAX_CONNECTIONS,
        keepAliveMs: e.KEEP_ALIVE_TIMEOUT_MS,
        headersMs: e.HEADERS_TIMEOUT_MS,
        requestMs: e.REQUEST_TIMEOUT_MS,
        silenceMs: Math.max(e.READ_TIMEOUT_MS, e.INGEST_DEADLINE_MS) + SILENCE_MS,
      },
      corsOrigins: e.CORS_ORIGINS ?? [],
      hstsSeconds: e.HSTS_SECONDS,
      drainDelayMs: e.DRAIN_DELAY_MS ?? (e.TIDEMARK_PROFILE === 'prod' ? 3_000 : 0),
      drainTimeoutMs: e.DRAIN_TIMEOUT_MS,
    },
    database: {
      url: e.DATABASE_URL,
      embeddedPort: e.EMBEDDED_PG_PORT,
      pooler: e.DATABASE_POOLER,
      readPoolSize: e.READ_POOL_SIZE,
      connectTimeoutMs: e.DB_CONNECT_TIMEOUT_MS,
      probeIntervalMs: e.DB_PROBE_INTERVAL_MS,
      probeTimeoutMs: e.DB_PROBE_TIMEOUT_MS,
      readTimeoutMs: e.READ_TIMEOUT_MS,
    },
    dataDir: e.DATA_DIR,
    adminKey: e.ADMIN_KEY,
    previousAdminKey: e.ADMIN_KEY_PREVIOUS,
    ingest: {
      writers: e.INGEST_WRITERS,
      batchRows: e.INGEST_BATCH_ROWS,
      batchBytes: e.INGEST_BATCH_BYTES,
      queueRows: e.INGEST_QUEUE_ROWS,
      queueBytes: e.INGEST_QUEUE_BYTES,
      deadlineMs: e.INGEST_DEADLINE_MS,
      maxEventsPerRequest: e.MAX_EVENTS_PER_REQUEST,
      acceptAheadMs: e.ACCEPT_AHEAD_SECONDS * 1_000,
      acceptBehindMs: e.ACCEPT_BEHIND_DAYS * 86_400_000,
    },
    windows: {
      graceMs: e.WINDOW_GRACE_MS,
      intervalMs: e.CLOSER_INTERVAL_MS,
      retryMs: e.CLOSER_RETRY_MS,
      stepMinutes: e.CLOSER_STEP_MINUTES,
      lockTimeoutMs: e.CLOSER_LOCK_TIMEOUT_MS,
      stalledMs: e.CLOSER_STALLED_MS,
    },
    limits: {
      requestsPerSecond: e.RATE_LIMIT_REQUESTS_PER_SECOND,
      eventsPerSecond: e.RATE_LIMIT_EVENTS_PER_SECOND,
      redisUrl: e.REDIS_URL,
      redisTimeoutMs: e.LIVE_TIMEOUT_MS,
    },
    delivery: {
      intervalMs: e.RELAY_INTERVAL_MS,
      inFlight: e.RELAY_IN_FLIGHT,
      inFlightPerEndpoint: e.RELAY_IN_FLIGHT_PER_ENDPOINT,
      timeoutMs: e.WEBHOOK_TIMEOUT_MS,
      allowedNetworks: e.WEBHOOK_ALLOWED_NETWORKS ?? [],
      redisUrl: e.REDIS_URL,
      streamMaxLength: e.DELIVERY_STREAM_MAXLEN,
      deliveredRetentionMs: e.DELIVERED_RETENTION_DAYS * 24 * HOUR,
      deadRetentionMs: e.DEAD_RETENTION_DAYS * 24 * HOUR,
      pendingMs: 7 * 24 * HOUR,
      scheduleMs: WEBHOOK_SCHEDULE_MS,
      streamRetryMs: 5 * SECOND,
      leaseMs: Math.max(10 * SECOND, 2 * e.WEBHOOK_TIMEOUT_MS),
      breaker: { failures: 5, probeMinMs: 15 * SECOND, probeMaxMs: 5 * MINUTE },
    },
    live: {
      store: liveStore(e),
      redisUrl: e.REDIS_URL,
      maxFields: e.LIVE_MAX_FIELDS,
      timeoutMs: e.LIVE_TIMEOUT_MS,
    },
    sources: { redisStreams: redisStreams(e), tenantId: e.SOURCE_TENANT ?? null },
  };
}

/** @throws {StartupError} when one thing is set without the other, or a stream would be read that is written here. */
function redisStreams(e: Environment): RedisStreamConfig[] {
  const { SOURCE_REDIS_URL: url, SOURCE_STREAM: streams } = e;
  if (url === undefined && streams === undefined) return [];
  if (url === undefined) throw new StartupError('SOURCE_STREAM needs SOURCE_REDIS_URL');
  if (streams === undefined) throw new StartupError('SOURCE_REDIS_URL needs SOURCE_STREAM');
  return streams.map((stream) => {
    const deadLetterStream = e.SOURCE_DEAD_LETTER_STREAM ?? `${stream}:dead`;
    if (streams.includes(deadLetterStream)) {
      throw new StartupError(`SOURCE_STREAM must not name the dead-letter stream ${deadLetterStream}`);
    }
    return {
      url,
      stream,
      group: e.SOURCE_GROUP,
      deadLetterStream,
      claimAfterMs: e.SOURCE_CLAIM_AFTER_MS,
      batchEntries: e.SOURCE_BATCH_ENTRIES,
    };
  });
}

/** In-memory counters see one instance only, so production without Redis answers from the database. */
function liveStore(e: Environment): Config['live']['store'] {
  if (e.REDIS_URL) return 'redis';
  return e.TIDEMARK_PROFILE === 'prod' ? 'none' : 'memory';
}

/** What programs that this one starts get of its environment: how to be found and run, and no secrets. */
export function environmentOfPrograms(): NodeJS.ProcessEnv {
  const { PATH, LD_LIBRARY_PATH, TMPDIR } = process.env;
  return { PATH, ...(LD_LIBRARY_PATH && { LD_LIBRARY_PATH }), ...(TMPDIR && { TMPDIR }) };
}

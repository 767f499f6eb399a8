import { z } from 'zod';
import type { commonVariables } from './common.ts';
import type { databaseVariables } from './database.ts';
import type { ingestVariables } from './ingest.ts';
import { addresses, origins, truth, type Variables, wholeNumber } from './values.ts';

export const httpVariables = {
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: wholeNumber(0, 65_535).default(8080),
  AUTH_FAILURES_PER_MINUTE: wholeNumber(1, 1_000_000).default(30),
  TRUSTED_PROXIES: addresses.optional(),
  MAX_BODY_BYTES: wholeNumber(1_024, 67_108_864).default(8_388_608),
  MAX_HEADER_BYTES: wholeNumber(8_192, 262_144).default(32_768),
  MAX_URL_BYTES: wholeNumber(1_024, 262_144).default(24_576),
  MAX_CONNECTIONS: wholeNumber(1, 1_000_000).default(10_000),
  KEEP_ALIVE_TIMEOUT_MS: wholeNumber(100, 3_600_000).default(65_000),
  HEADERS_TIMEOUT_MS: wholeNumber(100, 300_000).default(10_000),
  REQUEST_TIMEOUT_MS: wholeNumber(100, 300_000).default(15_000),
  CORS_ORIGINS: origins.optional(),
  CONSOLE: truth.optional(),
  HSTS_SECONDS: wholeNumber(0, 63_072_000).default(0),
  DRAIN_TIMEOUT_MS: wholeNumber(100, 120_000).default(9_000),
  DRAIN_DELAY_MS: wholeNumber(0, 60_000).optional(),
};

type Environment = Variables<
  typeof httpVariables & typeof commonVariables & typeof databaseVariables & typeof ingestVariables
>;

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

export interface HttpConfig {
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
  /** Whether there is a page at /console. */
  console: boolean;
  /** What browsers are told to remember to come by TLS, in seconds; 0: nothing is said. */
  hstsSeconds: number;
  /** How long readiness answers 503 before the listener closes, in ms. */
  drainDelayMs: number;
  /** How long shutdown may take in all, in ms. */
  drainTimeoutMs: number;
}

/** What the service itself may take is not counted as silence of the client. */
const SILENCE_MS = 30_000;

export function httpConfig(e: Environment): HttpConfig {
  return {
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
    console: e.CONSOLE ?? e.TIDEMARK_PROFILE !== 'prod',
    hstsSeconds: e.HSTS_SECONDS,
    drainDelayMs: e.DRAIN_DELAY_MS ?? (e.TIDEMARK_PROFILE === 'prod' ? 3_000 : 0),
    drainTimeoutMs: e.DRAIN_TIMEOUT_MS,
  };
}

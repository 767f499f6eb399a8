import type { commonVariables } from './common.ts';
import { addresses, DAY, HOUR, MINUTE, SECOND, type Variables, wholeNumber } from './values.ts';

export const deliveryVariables = {
  RELAY_INTERVAL_MS: wholeNumber(10, 1_000).default(250),
  RELAY_IN_FLIGHT: wholeNumber(1, 1_000).default(128),
  RELAY_IN_FLIGHT_PER_ENDPOINT: wholeNumber(1, 100).default(8),
  WEBHOOK_TIMEOUT_MS: wholeNumber(100, 30_000).default(15_000),
  WEBHOOK_ALLOWED_NETWORKS: addresses.optional(),
  DELIVERY_STREAM_MAXLEN: wholeNumber(1_000, 100_000_000).default(100_000),
  DELIVERED_RETENTION_DAYS: wholeNumber(1, 365).default(7),
  DEAD_RETENTION_DAYS: wholeNumber(1, 3_650).default(30),
};

type Environment = Variables<typeof deliveryVariables & typeof commonVariables>;

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

/** As Standard Webhooks recommends. */
const WEBHOOK_SCHEDULE_MS = [
  ...[0, 5 * SECOND, 5 * MINUTE, 30 * MINUTE],
  ...[2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR),
];

export function deliveryConfig(e: Environment): DeliveryConfig {
  return {
    intervalMs: e.RELAY_INTERVAL_MS,
    inFlight: e.RELAY_IN_FLIGHT,
    inFlightPerEndpoint: e.RELAY_IN_FLIGHT_PER_ENDPOINT,
    timeoutMs: e.WEBHOOK_TIMEOUT_MS,
    allowedNetworks: e.WEBHOOK_ALLOWED_NETWORKS ?? [],
    redisUrl: e.REDIS_URL,
    streamMaxLength: e.DELIVERY_STREAM_MAXLEN,
    deliveredRetentionMs: e.DELIVERED_RETENTION_DAYS * DAY,
    deadRetentionMs: e.DEAD_RETENTION_DAYS * DAY,
    pendingMs: 7 * DAY,
    scheduleMs: WEBHOOK_SCHEDULE_MS,
    streamRetryMs: 5 * SECOND,
    leaseMs: Math.max(10 * SECOND, 2 * e.WEBHOOK_TIMEOUT_MS),
    breaker: { failures: 5, probeMinMs: 15 * SECOND, probeMaxMs: 5 * MINUTE },
  };
}

import { noise, type Random } from './random.ts';

/*
 * What demo traffic looks like. Pure: the same seed gives the same traffic for the same time, but for the event ids,
 * which are new in every run.
 */

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

/** How far the day swings around its mean. */
const DAY_SWING = 0.7;
const BURST_CHANCE = 0.02;
const BURST_FACTOR = 6;
const LATE_CHANCE = 0.03;
/** An event reaches the service at most this late, in ms: well inside any acceptance horizon. */
const MAX_LATENESS_MS = 10 * MINUTE_MS;

interface Distribution {
  median: number;
  /** Standard deviation of the logarithm. */
  sigma: number;
}

/** A feature of a tenant's product that calls a model. */
interface Feature {
  weight: number;
  endpoint: string;
  model: string;
  input: Distribution;
  /** Null: the model returns no tokens, as an embedding. */
  output: Distribution | null;
  /** Time to the first token, and for each one after it. */
  firstMs: number;
  perTokenMs: number;
}

const FEATURES: Record<'chat' | 'summary' | 'code' | 'search' | 'batch', Feature> = {
  chat: {
    weight: 10,
    endpoint: '/api/chat',
    model: 'gpt-4o',
    input: { median: 900, sigma: 0.9 },
    output: { median: 180, sigma: 0.8 },
    firstMs: 350,
    perTokenMs: 12,
  },
  summary: {
    weight: 3,
    endpoint: '/api/summarize',
    model: 'claude-sonnet',
    input: { median: 6_000, sigma: 0.7 },
    output: { median: 400, sigma: 0.4 },
    firstMs: 900,
    perTokenMs: 15,
  },
  code: {
    weight: 5,
    endpoint: '/api/completion',
    model: 'llama-3-70b',
    input: { median: 2_000, sigma: 0.6 },
    output: { median: 60, sigma: 1 },
    firstMs: 120,
    perTokenMs: 8,
  },
  search: {
    weight: 12,
    endpoint: '/api/embed',
    model: 'text-embedding-3',
    input: { median: 120, sigma: 1.1 },
    output: null,
    firstMs: 25,
    perTokenMs: 0,
  },
  batch: {
    weight: 1,
    endpoint: '/api/extract',
    model: 'gpt-4o-mini',
    input: { median: 3_500, sigma: 0.3 },
    output: { median: 900, sigma: 0.2 },
    firstMs: 1_500,
    perTokenMs: 5,
  },
};

export interface TenantModel {
  id: string;
  name: string;
  /** Part of all traffic; the shares of all tenants add up to 1. */
  share: number;
  /** Hour of the day (UTC) with the most traffic. */
  peakHour: number;
  customers: { id: string; weight: number }[];
  features: Feature[];
  /** Part of the events that are clicks and impressions. */
  browsing: number;
}

const TENANTS: { id: string; name: string; features: (keyof typeof FEATURES)[]; browsing: number }[] = [
  { id: 'northwind', name: 'Northwind Assistants', features: ['chat', 'search'], browsing: 0.1 },
  { id: 'globex', name: 'Globex Code', features: ['code', 'chat'], browsing: 0 },
  { id: 'initech', name: 'Initech Reports', features: ['summary', 'batch'], browsing: 0.05 },
  { id: 'hooli', name: 'Hooli Search', features: ['search', 'chat', 'summary'], browsing: 0.4 },
  { id: 'umbrella', name: 'Umbrella Health', features: ['chat', 'summary', 'batch'], browsing: 0.2 },
];

/** The first is the largest; their peaks are spread over the day, so that the sum of all is nearly even. */
export function tenantModels(count: number): TenantModel[] {
  const weights = Array.from({ length: count }, (_, i) => 1 / (i + 1));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight, i) => {
    const kind = TENANTS[i % TENANTS.length]!;
    const round = Math.floor(i / TENANTS.length);
    const customers = 5 + Math.floor(noise(i, 7) * 20);
    return {
      id: round === 0 ? kind.id : `${kind.id}-${round + 1}`,
      name: round === 0 ? kind.name : `${kind.name} ${round + 1}`,
      share: weight / total,
      peakHour: (14 + (24 / count) * i) % 24,
      customers: Array.from({ length: customers }, (_, n) => ({
        id: `customer-${String(n + 1).padStart(2, '0')}`,
        weight: 1 / (n + 1), // Zipf
      })),
      features: kind.features.map((name) => FEATURES[name]),
      browsing: kind.browsing,
    };
  });
}

/** Traffic of a tenant at a moment, relative to its mean: the day's curve, and now and then a minute of a burst. */
export function intensity(tenant: TenantModel, ms: number, seed: number): number {
  const hour = (ms / HOUR_MS) % 24;
  const day = 1 + DAY_SWING * Math.cos(((hour - tenant.peakHour) / 24) * 2 * Math.PI);
  const bursting = noise(seed, tenant.peakHour * 1_000, Math.floor(ms / MINUTE_MS)) < BURST_CHANCE;
  return (day * (bursting ? BURST_FACTOR : 1)) / (1 + BURST_CHANCE * (BURST_FACTOR - 1));
}

/** An event as it is posted. */
export interface PostedEvent {
  eventId: string;
  timestamp: string;
  customerId: string;
  apiEndpoint?: string;
  eventType?: string;
  reference?: string;
  metadata: {
    model?: string;
    inputTokens?: number;
    outputTokens?: number;
    latencyMs?: number;
    page?: string;
  };
}

export interface Arrival {
  event: PostedEvent;
  /** When it is sent, in ms since the epoch: when it happened, or later. */
  sendAt: number;
}

/**
 * What happens at a tenant in [from, to) ms, in order of time.
 *
 * @param rate events per second of all tenants together, as a mean over days.
 * @param newId makes an event id for a moment (ms).
 */
export function arrivals(
  tenant: TenantModel,
  from: number,
  to: number,
  options: { rate: number; seed: number; random: Random; newId(ms: number): string },
): Arrival[] {
  const { rate, seed, random, newId } = options;
  const mean = rate * tenant.share * intensity(tenant, (from + to) / 2, seed) * ((to - from) / 1_000);
  return Array.from({ length: random.poisson(mean) }, () => Math.floor(random.between(from, to)))
    .sort((a, b) => a - b)
    .map((at) => ({ event: eventAt(tenant, at, random, newId), sendAt: at + lateness(random) }));
}

function eventAt(
  tenant: TenantModel,
  at: number,
  random: Random,
  newId: (ms: number) => string,
): PostedEvent {
  const event = {
    eventId: newId(at),
    timestamp: new Date(at).toISOString(),
    customerId: random.pick(tenant.customers).id,
  };
  if (random.chance(tenant.browsing)) {
    const eventType = random.chance(0.15) ? 'click' : 'impression';
    return { ...event, eventType, metadata: { page: `/page/${Math.floor(random.between(1, 20))}` } };
  }
  const { endpoint, model, input, output, firstMs, perTokenMs } = random.pick(tenant.features);
  const inputTokens = tokens(random, input);
  const outputTokens = output && tokens(random, output);
  const latency = random.logNormal(firstMs, 0.3) + (outputTokens ?? 0) * random.logNormal(perTokenMs, 0.2);
  return {
    ...event,
    apiEndpoint: endpoint,
    ...(random.chance(0.3) && { reference: `session-${Math.floor(random.between(1, 500))}` }),
    metadata: {
      model,
      inputTokens,
      ...(outputTokens !== null && { outputTokens }),
      latencyMs: Math.round(latency * 10) / 10,
    },
  };
}

function tokens(random: Random, { median, sigma }: Distribution): number {
  return Math.min(128_000, Math.max(1, Math.round(random.logNormal(median, sigma))));
}

/** How much later than it happened an event is sent, in ms: mostly 0. */
function lateness(random: Random): number {
  if (!random.chance(LATE_CHANCE)) return 0;
  return Math.min(MAX_LATENESS_MS, Math.round(random.logNormal(40_000, 1.2)));
}

import { MAX_LATENCY_MS } from '../../intake/events/nativeEvent.ts';
import { noise, type Random } from './random.ts';
import type { Seeds, SeedTenant } from './readSeeds.ts';
import type { Distribution, Feature, TrafficProfile } from './seedFiles.ts';

/*
 * Traffic as the seeds describe it. Pure: the same seed gives the same traffic for the same time, but for the event ids,
 * which are new in every run.
 */

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

export interface TenantModel extends SeedTenant {
  /** Part of all traffic; the shares of all tenants add up to 1. */
  share: number;
  /** Hour of the day (UTC) with the most traffic. */
  peakHour: number;
  features: Feature[];
  /** Part of the events that are clicks and impressions. */
  browsing: number;
  profile: TrafficProfile;
}

/**
 * The first `count` tenants of the traffic. Where there are fewer, they come again as others: with a number behind id
 * and name, and a half, a third, … of the weight. Their peaks are spread over the day, so that the sum of all is nearly even.
 */
export function tenantModels({ traffic, profile }: Seeds, count: number): TenantModel[] {
  const ids = new Set(traffic.map(({ id }) => id));
  const chosen = Array.from({ length: count }, (_, i) => {
    const kind = traffic[i % traffic.length]!;
    const round = Math.floor(i / traffic.length) + 1;
    if (round === 1) return kind;
    let number = round;
    while (ids.has(`${kind.id}-${number}`)) number++;
    const id = `${kind.id}-${number}`;
    ids.add(id);
    return { ...kind, id, name: `${kind.name} ${number}`, weight: kind.weight / round };
  });
  const total = chosen.reduce((sum, { weight }) => sum + weight, 0);
  return chosen.map(({ weight, ...tenant }, i) => ({
    ...tenant,
    share: weight / total,
    peakHour: (profile.day.peakHour + (24 / count) * i) % 24,
    profile,
  }));
}

/** Traffic of a tenant at a moment, relative to its mean: the day's curve, and now and then a minute of a burst. */
export function intensity(tenant: TenantModel, ms: number, seed: number): number {
  const hour = (ms / HOUR_MS) % 24;
  const { day, bursts } = tenant.profile;
  const ofDay = 1 + day.swing * Math.cos(((hour - tenant.peakHour) / 24) * 2 * Math.PI);
  const bursting = noise(seed, tenant.peakHour * 1_000, Math.floor(ms / MINUTE_MS)) < bursts.chance;
  return (ofDay * (bursting ? bursts.factor : 1)) / (1 + bursts.chance * (bursts.factor - 1));
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
    .map((at) => ({
      event: eventAt(tenant, at, random, newId),
      sendAt: at + lateness(tenant.profile, random),
    }));
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
  const { browsing, sessions, maxTokens } = tenant.profile;
  if (random.chance(tenant.browsing)) {
    const eventType = random.chance(browsing.clicks) ? 'click' : 'impression';
    return { ...event, eventType, metadata: { page: `/page/${oneOf(random, browsing.pages)}` } };
  }
  const feature = random.pick(tenant.features);
  const tokens = ({ median, sigma }: Distribution) =>
    Math.min(maxTokens, Math.max(1, Math.round(random.logNormal(median, sigma))));
  const inputTokens = tokens(feature.inputTokens);
  const outputTokens = feature.outputTokens && tokens(feature.outputTokens);
  const firstMs = random.logNormal(feature.firstTokenMs.median, feature.firstTokenMs.sigma);
  const perTokenMs = random.logNormal(feature.perTokenMs.median, feature.perTokenMs.sigma);
  const latencyMs = Math.min(MAX_LATENCY_MS, firstMs + (outputTokens ?? 0) * perTokenMs);
  return {
    ...event,
    apiEndpoint: feature.endpoint,
    ...(random.chance(sessions.chance) && { reference: `session-${oneOf(random, sessions.count)}` }),
    metadata: {
      model: feature.model,
      inputTokens,
      ...(outputTokens !== null && { outputTokens }),
      latencyMs: Math.round(latencyMs * 10) / 10,
    },
  };
}

/** From 1 to `count`, each as likely. */
function oneOf(random: Random, count: number): number {
  return Math.floor(random.between(1, count + 1));
}

/** How much later than it happened an event is sent, in ms: mostly 0. */
function lateness({ late }: TrafficProfile, random: Random): number {
  if (!random.chance(late.chance)) return 0;
  return Math.min(late.maxDelayMs, Math.round(random.logNormal(late.delayMs.median, late.delayMs.sigma)));
}

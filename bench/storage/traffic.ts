import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Random } from '../../src/faces/seeds/random.ts';
import { readSeeds } from '../../src/faces/seeds/readSeeds.ts';
import { arrivals, type PostedEvent, tenantModels } from '../../src/faces/seeds/trafficModel.ts';
import { toUsageEvent } from '../../src/intake/events/toUsageEvent.ts';
import type { UsageEvent } from '../../src/model/usageEvent.ts';

/** Events to be stored, in order of time, a batch at a time. */
export interface Feed {
  name: string;
  /** Start of the first event's day, in ms since the epoch. */
  from: number;
  batches(): AsyncGenerator<UsageEvent[]>;
}

const DAY_MS = 86_400_000;
const STEP_MS = 10_000;
const BATCH = 20_000;
/** Days ago that generated traffic begins: far enough for every chunk it falls into to have ended. */
const DAYS_AGO = 40;

/** The demo traffic: five tenants, 5 to 25 customers each, calls of models, clicks, some with a session. */
export function generatedTraffic(events: number, rate: number, newId: (ms: number) => string): Feed {
  const from = Math.floor(Date.now() / DAY_MS - DAYS_AGO) * DAY_MS;
  return {
    name: `generated, ${rate} events/s`,
    from,
    async *batches() {
      const random = new Random(6);
      const tenants = tenantModels(await readSeeds(), 5);
      let batch: UsageEvent[] = [];
      let left = events;
      for (let at = from; left > 0; at += STEP_MS) {
        const posted = tenants.flatMap((tenant) =>
          arrivals(tenant, at, at + STEP_MS, { rate, seed: 6, random, newId }).map(({ event }) =>
            stored(tenant.id, event),
          ),
        );
        batch.push(...posted.sort((a, b) => a.tsMicros - b.tsMicros).slice(0, left));
        left -= Math.min(left, posted.length);
        if (batch.length < BATCH && left > 0) continue;
        yield batch;
        batch = [];
      }
    },
  };
}

/** One customer's requests to one model, from a CSV file of TIMESTAMP (UTC), ContextTokens, GeneratedTokens. */
export async function traceTraffic(path: string, newId: (ms: number) => string): Promise<Feed> {
  const all: UsageEvent[] = [];
  let header = true;
  for await (const line of createInterface({ input: createReadStream(path) })) {
    const [time, input, output] = line.split(',');
    if (!header && time && input && output) {
      const timestamp = `${time.replace(' ', 'T').slice(0, 26)}Z`;
      const event = {
        eventId: newId(Date.parse(timestamp)),
        timestamp,
        customerId: 'conversations',
        apiEndpoint: '/api/completion',
        metadata: { model: 'gpt-4', inputTokens: Number(input), outputTokens: Number(output) },
      };
      all.push(stored('trace', event));
    }
    header = false;
  }
  const from = Math.floor(all[0]!.tsMicros / 1_000 / DAY_MS) * DAY_MS;
  return {
    name: `trace, ${all.length.toLocaleString('en')} requests`,
    from,
    async *batches() {
      for (let i = 0; i < all.length; i += BATCH) yield all.slice(i, i + BATCH);
    },
  };
}

function stored(tenantId: string, event: PostedEvent): UsageEvent {
  const rules = {
    tenantId,
    earliestMicros: 0,
    latestMicros: Date.now() * 1_000,
    receivedMicros: Date.parse(event.timestamp) * 1_000,
    checkText: false,
  };
  const verdict = toUsageEvent(event, rules, 0);
  if (!verdict.event) throw new Error(verdict.faults[0]!.message);
  return verdict.event;
}

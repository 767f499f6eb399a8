import type { Client } from './client.ts';
import type { Random } from './random.ts';
import type { TrafficProfile } from './seedFiles.ts';
import type { PostedEvent } from './trafficModel.ts';

/** What was acknowledged of a tenant's events, each counted once. */
export interface Sums {
  events: number;
  inputTokens: number;
  outputTokens: number;
  clicks: number;
  impressions: number;
}

export const noSums = (): Sums => ({ events: 0, inputTokens: 0, outputTokens: 0, clicks: 0, impressions: 0 });

interface Answer {
  accepted: number;
  duplicates: number;
}

/** Posts the events of one tenant, several requests at a time, some of them twice. */
export class Sender {
  readonly acknowledged = noSums();
  requests = 0;
  repeated = 0;
  readonly failures: string[] = [];
  private readonly client: Client;
  private readonly random: Random;
  private readonly most: number;
  private readonly repeats: TrafficProfile['repeats'];
  private readonly running = new Set<Promise<void>>();

  /**
   * @param most requests at a time.
   * @param repeats how many of them are sent a second time, as by a client that lost the answer.
   */
  constructor(client: Client, random: Random, most: number, repeats: TrafficProfile['repeats']) {
    this.client = client;
    this.random = random;
    this.most = most;
    this.repeats = repeats;
  }

  /** Resolves as soon as there is room for another request. */
  async post(events: PostedEvent[]): Promise<void> {
    const { chance, meanwhile } = this.repeats;
    const repeats = this.random.chance(chance)
      ? this.random.chance(1 - meanwhile)
        ? 'after'
        : 'meanwhile'
      : null;
    const sending = this.send(events, repeats).finally(() => this.running.delete(sending));
    this.running.add(sending);
    if (this.running.size >= this.most) await Promise.race(this.running);
  }

  async settled(): Promise<void> {
    await Promise.all(this.running);
  }

  private async send(events: PostedEvent[], repeats: 'after' | 'meanwhile' | null): Promise<void> {
    try {
      const answers =
        repeats === 'meanwhile'
          ? await Promise.all([this.once(events), this.once(events)])
          : [await this.once(events), ...(repeats === 'after' ? [await this.once(events)] : [])];
      if (repeats) this.repeated++;
      const known = answers.every(({ accepted, duplicates }) => accepted + duplicates === events.length);
      if (!known) this.failures.push(`${events.length} events were answered ${JSON.stringify(answers)}`);
      for (const event of events) count(this.acknowledged, event);
    } catch (error) {
      this.failures.push((error as Error).message);
    }
  }

  private async once(events: PostedEvent[]): Promise<Answer> {
    this.requests++;
    return this.client.call<Answer>('POST', '/v1/events', events.length === 1 ? events[0] : events);
  }
}

function count(sums: Sums, { eventType, metadata }: PostedEvent): void {
  sums.events++;
  sums.inputTokens += metadata.inputTokens ?? 0;
  sums.outputTokens += metadata.outputTokens ?? 0;
  if (eventType === 'click') sums.clicks++;
  if (eventType === 'impression') sums.impressions++;
}

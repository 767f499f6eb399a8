import { setTimeout as sleep } from 'node:timers/promises';
import { interruption } from '../support/interruption.ts';
import type { Tidemark } from './tidemark.ts';

/** A meter as `POST /v1/meters` takes it. */
export interface MeterBody {
  slug: string;
  eventType: string;
  aggregation: string;
  value?: string;
  dimensions?: Record<string, string>;
}

/** As it is answered, as far as it is needed here. */
export interface MeterPoint {
  windowStart: string;
  customerId?: string;
  dimensions?: Record<string, string | null>;
  value: string | null;
  events: number;
}

const LOOK_MS = 50;
const FILL_MS = 3_600_000;

/** What is asked of a service about the meters of one tenant. Each throws where the answer is not 2xx. */
export class MeterCalls {
  private readonly base: string;
  private readonly headers: Record<string, string>;

  constructor({ port, adminKey }: Tidemark, tenant: string) {
    this.base = `http://127.0.0.1:${port}/v1/meters`;
    this.headers = {
      Authorization: `Bearer ${adminKey}`,
      'X-Tenant-Id': tenant,
      'Content-Type': 'application/json',
    };
  }

  async create(body: MeterBody): Promise<void> {
    await this.ask('', { method: 'POST', body: JSON.stringify(body) });
  }

  async archive(slug: string): Promise<void> {
    await this.ask(`/${slug}`, { method: 'DELETE' });
  }

  /** All points of the first page. @param query parameters, encoded. */
  async query(slug: string, query: string): Promise<MeterPoint[]> {
    const answer = await this.ask(`/${slug}/query?${query}`);
    return ((await answer.json()) as { data: MeterPoint[] }).data;
  }

  async isFilled(slug: string): Promise<boolean> {
    const answer = await this.ask(`/${slug}`);
    return ((await answer.json()) as { fill: { state: string } }).fill.state === 'complete';
  }

  /** Waits until their past is in their levels. */
  async filled(slugs: readonly string[]): Promise<void> {
    const deadline = Date.now() + FILL_MS;
    for (const slug of slugs) {
      while (!(await this.isFilled(slug))) {
        if (Date.now() > deadline) throw new Error(`${slug} is not filled after ${FILL_MS} ms`);
        await sleep(LOOK_MS, undefined, { signal: interruption });
      }
    }
  }

  private async ask(path: string, init: RequestInit = {}): Promise<Response> {
    const answer = await fetch(this.base + path, { ...init, headers: this.headers, signal: interruption });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  }
}

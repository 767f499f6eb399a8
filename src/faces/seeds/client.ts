import { setTimeout as sleep } from 'node:timers/promises';

/** How often a request that got no final answer is repeated. */
const TRIES = 20;
const TIMEOUT_MS = 30_000;

/** An answer that repeating would not change. */
export class Refused extends Error {
  readonly status: number;

  constructor(what: string, status: number, body: string) {
    super(`${what}: ${status} ${body.slice(0, 300)}`);
    this.status = status;
  }
}

/** Calls the API as a patient client does: 429, 5xx and lost connections are repeated, Retry-After is kept to. */
export class Client {
  private readonly url: string;
  private readonly key: string;

  constructor(url: string, key: string) {
    this.url = url.replace(/\/+$/, '');
    this.key = key;
  }

  /**
   * @param done says whether a try without a final answer has done it all the same, so that it is not done again. For
   * what is not the same when it is done twice.
   * @returns undefined where `done` has said so.
   * @throws {Refused} for any other 4xx; the last error when nothing helped.
   */
  async call<Body>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    done?: () => Promise<boolean>,
  ): Promise<Body> {
    for (let tries = 1; ; tries++) {
      let waitMs = Math.min(2_000, 50 * 2 ** tries);
      try {
        const response = await fetch(`${this.url}${path}`, {
          method,
          headers: {
            authorization: `Bearer ${this.key}`,
            ...(body !== undefined && { 'content-type': 'application/json' }),
            ...headers,
          },
          signal: AbortSignal.timeout(TIMEOUT_MS),
          ...(body !== undefined && { body: JSON.stringify(body) }),
        });
        const text = await response.text();
        if (response.ok) return (text === '' ? undefined : JSON.parse(text)) as Body;
        const refusal = new Refused(`${method} ${path}`, response.status, text);
        if (response.status !== 429 && response.status < 500) throw refusal;
        if (tries === TRIES) throw refusal;
        waitMs = Math.max(waitMs, Number(response.headers.get('retry-after') ?? 0) * 1_000);
      } catch (error) {
        if (error instanceof Refused || tries === TRIES) throw error;
      }
      await sleep(waitMs);
      if (await done?.()) return undefined as Body;
    }
  }

  /** All rows of a list, page by page. @param path with a query, which a cursor is added to. */
  async list<Row>(path: string, headers: Record<string, string> = {}): Promise<Row[]> {
    const rows: Row[] = [];
    let cursor = '';
    for (;;) {
      const page = await this.call<{ data: Row[]; nextCursor: string | null }>(
        'GET',
        `${path}${cursor}`,
        undefined,
        headers,
      );
      rows.push(...page.data);
      if (page.nextCursor === null) return rows;
      cursor = `&cursor=${encodeURIComponent(page.nextCursor)}`;
    }
  }
}

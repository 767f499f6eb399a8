/** Rows that are shown at most. */
export const MOST_ROWS = 2_000;

/** What the service answers, in so far as it is shown here. */
export interface MeterFacts {
  slug: string;
  name: string;
  description: string | null;
  aggregation: 'count' | 'sum' | 'avg' | 'min' | 'max' | 'latest' | 'uniqueCount';
}

/** A window of the usage, or of a meter. */
export type RawRow = Record<string, unknown>;

interface Page<Row> {
  data: Row[];
  nextCursor: string | null;
}

/** That something was refused, or could not be reached. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;
  /** Seconds after which it may be asked again. */
  readonly retryAfter: number | null;

  /** @param status 0: it could not be reached. */
  constructor(status: number, code: string, detail: string, retryAfter: number | null) {
    super(detail);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** Asks the portal of a service, with a token. */
export class Portal {
  private readonly base: string;
  private readonly token: string;
  private readonly signal: AbortSignal;

  constructor(base: string, token: string, signal: AbortSignal) {
    this.base = base;
    this.token = token;
    this.signal = signal;
  }

  /** The meter, or undefined where the token may not read it. */
  async meter(slug: string): Promise<MeterFacts | undefined> {
    let cursor: string | null = null;
    do {
      const page: Page<MeterFacts> = await this.get('meters', {
        limit: '1000',
        ...(cursor !== null && { cursor }),
      });
      const found = page.data.find((meter) => meter.slug === slug);
      if (found) return found;
      cursor = page.nextCursor;
    } while (cursor !== null);
    return undefined;
  }

  /** A page of rows, as long as is shown. */
  rows(path: string, query: Record<string, string>): Promise<Page<RawRow>> {
    return this.get(path, { ...query, limit: String(MOST_ROWS) });
  }

  private async get<Answer>(path: string, query: Record<string, string>): Promise<Answer> {
    const url = `${this.base}/v1/portal/${path}?${new URLSearchParams(query)}`;
    let answer: Response;
    try {
      answer = await fetch(url, {
        headers: { Authorization: `Bearer ${this.token}` },
        credentials: 'omit',
        cache: 'no-store',
        referrerPolicy: 'no-referrer',
        signal: this.signal,
      });
    } catch (error) {
      if (this.signal.aborted) throw error;
      throw new Refused(0, 'unreachable', 'The numbers cannot be reached now.', null);
    }
    const body = await answer.json().catch(() => ({}));
    if (answer.ok) return body as Answer;
    const { code = 'unknown', detail = `HTTP ${answer.status}` } = body as { code?: string; detail?: string };
    throw new Refused(answer.status, code, detail, Number(answer.headers.get('Retry-After')) || null);
  }
}

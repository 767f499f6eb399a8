import type { RequestTemplate } from './requestTemplate.ts';

/** A number of events whose times advance with the number. */
export interface SeriesOptions {
  /** How many; a multiple of what a request holds. */
  events: number;
  /** The times of the first and the last, in ms since the epoch. Without them each request is of the last second. */
  from?: number;
  to?: number;
}

/** How far a series is. */
export interface Progress {
  /** Events sent. */
  sent: number;
  /** All events before this time (ms since the epoch) have been answered. */
  answeredUntil: number;
  /** It would go on, and may not. */
  held: boolean;
}

/** How long the events of a request have taken to happen, where the series has no times of its own, in ms. */
const REQUEST_MS = 1_000;

/** Hands the requests of a series to its connections. */
export class Series {
  /** Events may have times up to this one, in ms since the epoch. */
  until = Number.POSITIVE_INFINITY;
  private readonly options: SeriesOptions;
  private readonly perRequest: number;
  private readonly underway = new Map<number, number>();
  private readonly turns: number[] = [];
  private sent = 0;
  private held = false;

  constructor(options: SeriesOptions, perRequest: number) {
    if (options.events % perRequest !== 0)
      throw new Error(`not a multiple of ${perRequest}: ${options.events}`);
    this.options = options;
    this.perRequest = perRequest;
  }

  /**
   * The next request of a connection, whose last one has been answered; 'wait' while none may be sent.
   *
   * @param templates of this connection, taken in turn.
   */
  next(connection: number, templates: readonly RequestTemplate[]): Buffer | 'wait' | 'end' {
    this.underway.delete(connection);
    const { sent, perRequest } = this;
    if (sent === this.options.events) return 'end';
    const from = this.timeOf(sent);
    this.held = from > this.until;
    if (this.held) return 'wait';
    this.underway.set(connection, from);
    this.sent += perRequest;
    const turn = this.turns[connection] ?? 0;
    this.turns[connection] = turn + 1;
    const template = templates[turn % templates.length]!;
    template.renewWithin(from, this.options.from === undefined ? REQUEST_MS : this.timeOf(this.sent) - from);
    return template.buffer;
  }

  progress(): Progress {
    const { sent, underway, held } = this;
    return { sent, held, answeredUntil: Math.min(this.timeOf(sent), ...underway.values()) };
  }

  private timeOf(event: number): number {
    const { from, to, events } = this.options;
    if (from === undefined || to === undefined) return Date.now() - REQUEST_MS;
    return from + ((to - from) * event) / events;
  }
}

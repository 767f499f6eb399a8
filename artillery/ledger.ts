import { entryOf } from './entryOf.ts';
import { add, noSums, type Sums } from './sums.ts';

/** A request that was sent. */
export interface Posted {
  line: 'posted';
  /** ms since the epoch. */
  at: number;
  request: string;
  /** The request that first sent these events: a retry bears the id of the one that it repeats. */
  group: string;
  customer: string;
  /** Events in the body, whatever was known of them. */
  events: number;
  /** Of the events that no request before it held, the sums by window, whose start is in ms. */
  fresh: [window: number, sums: Sums][];
  /** Whether their windows had closed before it was sent. */
  late: boolean;
}

/** What was answered to it. */
export interface Answered {
  line: 'answered';
  at: number;
  request: string;
  status: number;
  accepted: number;
  duplicates: number;
}

/** What is known of one window of one customer. */
export interface Expected {
  acknowledged: Sums;
  /** Sent, but without an answer that says whether it is stored. */
  open: Sums;
  /** Requests with fresh events for it, and those of them that were late. */
  requests: number;
  late: number;
}

interface Group {
  fresh: number;
  accepted: number;
  pending: Set<string>;
  /** Some request of it was not answered with 200: what is stored of it is not known. */
  unknown: boolean;
}

export type Windows = Map<number, Expected>;

/**
 * What must be counted, from the requests and their answers.
 *
 * The events of a group of requests are accepted once, by whichever request came first, and are duplicates in all
 * others. So over a group that is answered `accepted` adds up to the events that it brought, and in each answer
 * accepted and duplicates add up to the events of its body.
 */
export class Ledger {
  readonly customers = new Map<string, Windows>();
  /** Answers that contradict what was sent. */
  readonly contradictions: string[] = [];
  requests = 0;
  /** Events, in whatever request, and of them those that were answered as accepted and as duplicates. */
  posted = 0;
  accepted = 0;
  duplicates = 0;
  /** Requests that were not answered with 200. */
  refused = 0;
  private readonly pending = new Map<string, Posted>();
  private readonly groups = new Map<string, Group>();

  add(line: Posted | Answered): void {
    if (line.line === 'posted') this.post(line);
    else this.answer(line);
  }

  /** Requests without any answer so far. */
  get unanswered(): number {
    return this.pending.size;
  }

  /** All windows added up. */
  total(of: 'acknowledged' | 'open'): Sums {
    const sums = noSums();
    for (const windows of this.customers.values()) {
      for (const expected of windows.values()) add(sums, expected[of]);
    }
    return sums;
  }

  private post(line: Posted): void {
    this.requests++;
    this.posted += line.events;
    this.pending.set(line.request, line);
    const group = entryOf(this.groups, line.group, newGroup);
    group.pending.add(line.request);
    for (const [window, sums] of line.fresh) {
      group.fresh += sums.calls;
      const expected = this.expected(line.customer, window);
      add(expected.open, sums);
      expected.requests++;
      if (line.late) expected.late++;
    }
  }

  private answer({ request, status, accepted, duplicates }: Answered): void {
    const posted = this.pending.get(request);
    const group = posted && this.groups.get(posted.group);
    if (!posted || !group) return;
    this.pending.delete(request);
    group.pending.delete(request);
    if (status === 200) {
      group.accepted += accepted;
      this.accepted += accepted;
      this.duplicates += duplicates;
      if (accepted + duplicates !== posted.events) {
        this.contradictions.push(`${posted.events} events were answered with ${accepted} + ${duplicates}`);
      }
      for (const [window, sums] of posted.fresh) {
        const expected = this.expected(posted.customer, window);
        add(expected.open, negative(sums));
        add(expected.acknowledged, sums);
      }
    } else {
      this.refused++;
      group.unknown = true;
    }
    if (group.pending.size > 0) return;
    this.groups.delete(posted.group);
    if (!group.unknown && group.accepted !== group.fresh) {
      this.contradictions.push(`of ${group.fresh} new events ${group.accepted} were accepted`);
    }
  }

  private expected(customer: string, window: number): Expected {
    return entryOf(entryOf(this.customers, customer, newWindows), window, nothing);
  }
}

const newGroup = (): Group => ({ fresh: 0, accepted: 0, pending: new Set(), unknown: false });
const newWindows = (): Windows => new Map();
const nothing = (): Expected => ({ acknowledged: noSums(), open: noSums(), requests: 0, late: 0 });

function negative(sums: Sums): Sums {
  return Object.fromEntries(Object.entries(sums).map(([name, value]) => [name, -value])) as unknown as Sums;
}

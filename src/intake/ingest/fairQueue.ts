/*
 * Fair queueing between flows (tenants): deficit round robin (Shreedhar & Varghese, 1995), with precedence for flows
 * that ask for little, much as FQ-CoDel schedules (RFC 8290 §4).
 *
 * A flow has a FIFO of its own and a deficit in rows. A turn takes its entries while the deficit is positive; then it
 * gets QUANTUM_ROWS more and goes to the end of the round. In each lap of the round a flow may have its first
 * QUANTUM_ROWS before all that wait for their turn, in one piece or in many: it is `ahead`, until its next entry is
 * larger than what is left of them. So a request of a small tenant is in the next batch, however much of others waits,
 * and nobody gains by stopping and starting, or by large requests.
 *
 * Invariants:
 * - an entry is in its flow's FIFO and in the list of all by age, or in neither; `rows`, `bytes` and `length` are the
 *   sums over them;
 * - a flow with entries is in exactly one place: ahead, with rows left of its first, or in the round;
 * - a flow without entries stays in the round while it has taken too much, then rests; what rests at the end of a lap
 *   is forgotten, and so is everything once nothing waits at all;
 * - the oldest entry of all is the first of its flow: so deadlines cost nothing per flow.
 */

export interface BatchItem {
  readonly rows: number;
  readonly bytes: number;
  /** Whose it is: the tenant. Flows share batches and the queue evenly. */
  readonly flow: string;
}

export interface Bounds {
  rows: number;
  bytes: number;
}

/** What waits: the queue keeps its links in here. */
export class Entry {
  readonly item: BatchItem;
  /** ms since the epoch. */
  readonly since: number;
  /** @internal */ flow!: Flow;
  /** @internal The next of the same flow. */ next: Entry | undefined;
  /** @internal */ older: Entry | undefined;
  /** @internal */ newer: Entry | undefined;

  constructor(item: BatchItem, since: number) {
    this.item = item;
    this.since = since;
  }
}

/** What a batch is taken from: what goes ahead, those whose turn it is, or both in this order. */
export type Share = 'ahead' | 'turns' | 'all';

interface Flow {
  readonly key: string;
  first: Entry | undefined;
  last: Entry | undefined;
  rows: number;
  bytes: number;
  /** Rows it may still take in this turn; below zero what it has taken too much. */
  deficit: number;
  place: 'rest' | 'ahead' | 'round';
  /** The lap that its deficit is of. */
  lap: number;
  /** The next in the same place. */
  behind: Flow | undefined;
}

/** Rows of one turn. Small against a batch, so that many flows fit into one; large against a small request. */
const QUANTUM_ROWS = 250;
/** A flow may hold this many times what is still free, so that one alone leaves a third to the others. */
const SHARE_OF_FREE = 2;

export class FairQueue<E extends Entry> {
  private readonly flows = new Map<string, Flow>();
  private readonly ahead = new FlowList();
  private readonly round = new FlowList();
  private readonly resting = new Set<Flow>();
  private lap = 0;
  /** Until everybody in the round has had a turn. */
  private turnsLeft = 0;
  private readonly bounds: Bounds;
  private readonly rowsPerByte: number;
  private eldest: Entry | undefined;
  private youngest: Entry | undefined;
  rows = 0;
  /** Those of `rows` that go ahead. */
  rowsAhead = 0;
  bytes = 0;
  length = 0;

  /**
   * @param bounds of what may wait.
   * @param batch bounds of a full batch: what a byte costs in rows.
   */
  constructor(bounds: Bounds, batch: Bounds) {
    this.bounds = bounds;
    this.rowsPerByte = batch.rows / batch.bytes;
  }

  /**
   * Whether so much more of a flow may wait. All flows together stay within the bounds, and each within twice what is
   * still free (dynamic thresholds, Choudhury & Hahne 1998): one that floods fills two thirds and is then refused,
   * while a flow with nothing waiting is refused only when it does not fit at all. An item larger than the bounds is
   * taken when nothing waits.
   */
  hasRoom(key: string, rows: number, bytes: number): boolean {
    if (this.length === 0) return true;
    const freeRows = this.bounds.rows - this.rows;
    const freeBytes = this.bounds.bytes - this.bytes;
    if (rows > freeRows || bytes > freeBytes) return false;
    const flow = this.flows.get(key);
    if (!flow) return true;
    return flow.rows + rows <= SHARE_OF_FREE * freeRows && flow.bytes + bytes <= SHARE_OF_FREE * freeBytes;
  }

  /** Whether anything of a flow waits. */
  holds(key: string): boolean {
    return this.flows.get(key)?.first !== undefined;
  }

  rowsOf(key: string): number {
    return this.flows.get(key)?.rows ?? 0;
  }

  push(entry: E): void {
    const { item } = entry;
    const flow = this.flowOf(item.flow);
    entry.flow = flow;
    if (flow.last) flow.last.next = entry;
    else flow.first = entry;
    flow.last = entry;
    flow.rows += item.rows;
    flow.bytes += item.bytes;
    if (flow.place === 'rest') {
      if (flow.lap !== this.lap) flow.deficit = QUANTUM_ROWS;
      flow.lap = this.lap;
      this.resting.delete(flow);
      this.enter(flow, 'ahead');
    } else if (flow.place === 'ahead') this.rowsAhead += item.rows;
    entry.older = this.youngest;
    if (this.youngest) this.youngest.newer = entry;
    else this.eldest = entry;
    this.youngest = entry;
    this.rows += item.rows;
    this.bytes += item.bytes;
    this.length++;
  }

  /** What has waited longest. */
  get oldest(): E | undefined {
    return this.eldest as E | undefined;
  }

  /** Takes out what has waited longest. */
  dropOldest(): E {
    return this.shift(this.eldest!.flow);
  }

  /**
   * Takes one batch: a fair share of each flow, in the order of arrival within it. Its first item may exceed the
   * bounds. Nothing, where all that was ahead has to wait for its turn: then nothing is ahead any more.
   */
  take(bounds: Bounds, share: Share): E[] {
    const taken: E[] = [];
    let rows = 0;
    let bytes = 0;
    while (this.length > 0) {
      const flow = this.nextOf(share);
      if (!flow) break;
      const next = flow.first?.item;
      const cost = next ? Math.max(next.rows, next.bytes * this.rowsPerByte) : 0;
      if (flow.deficit <= 0 || (flow.place === 'ahead' && cost > flow.deficit)) this.endTurn(flow, 'round');
      else if (!next) this.endTurn(flow, 'rest');
      else {
        const fits = rows + next.rows <= bounds.rows && bytes + next.bytes <= bounds.bytes;
        if (!fits && taken.length > 0) break;
        rows += next.rows;
        bytes += next.bytes;
        flow.deficit -= cost;
        taken.push(this.shift(flow));
      }
    }
    if (this.length === 0) this.clear();
    return taken;
  }

  private nextOf(share: Share): Flow | undefined {
    if (share === 'turns') return this.round.first;
    return this.ahead.first ?? (share === 'all' ? this.round.first : undefined);
  }

  /** Nothing waits, so nobody is owed anything. */
  private clear(): void {
    for (const list of [this.ahead, this.round]) {
      for (let flow = list.shift(); flow; flow = list.shift()) this.rest(flow);
    }
    this.endLap();
  }

  private enter(flow: Flow, place: 'ahead' | 'round'): void {
    flow.place = place;
    this[place].push(flow);
    if (place === 'ahead') this.rowsAhead += flow.rows;
  }

  /**
   * Ends the turn of the flow that is first in its place, or its going ahead: it waits at the end of the round for its
   * next, or rests. What is left of a turn is what it may have ahead in the same lap.
   */
  private endTurn(flow: Flow, to: 'round' | 'rest'): void {
    const turn = flow.place === 'round';
    if (turn) {
      this.round.shift();
      flow.lap = this.lap;
      this.turnsLeft--;
    } else {
      this.ahead.shift();
      this.rowsAhead -= flow.rows;
    }
    if (to === 'rest') this.rest(flow);
    else {
      flow.deficit += QUANTUM_ROWS;
      this.enter(flow, 'round');
    }
    if (turn && this.turnsLeft <= 0) this.endLap();
  }

  private endLap(): void {
    this.lap++;
    this.turnsLeft = this.round.length;
    for (const flow of this.resting) this.flows.delete(flow.key);
    this.resting.clear();
  }

  private rest(flow: Flow): void {
    flow.place = 'rest';
    this.resting.add(flow);
  }

  /** The first entry of a flow, out of everything. */
  private shift(flow: Flow): E {
    const entry = flow.first!;
    flow.first = entry.next;
    if (!entry.next) flow.last = undefined;
    if (entry.older) entry.older.newer = entry.newer;
    else this.eldest = entry.newer;
    if (entry.newer) entry.newer.older = entry.older;
    else this.youngest = entry.older;
    entry.next = undefined;
    entry.older = undefined;
    entry.newer = undefined;
    flow.rows -= entry.item.rows;
    flow.bytes -= entry.item.bytes;
    this.rows -= entry.item.rows;
    this.bytes -= entry.item.bytes;
    if (flow.place === 'ahead') this.rowsAhead -= entry.item.rows;
    this.length--;
    return entry as E;
  }

  private flowOf(key: string): Flow {
    let flow = this.flows.get(key);
    if (!flow) {
      flow = {
        key,
        first: undefined,
        last: undefined,
        rows: 0,
        bytes: 0,
        deficit: 0,
        place: 'rest',
        lap: -1,
        behind: undefined,
      };
      this.flows.set(key, flow);
    }
    return flow;
  }
}

/** Flows in the order of their turns. */
class FlowList {
  first: Flow | undefined;
  length = 0;
  private last: Flow | undefined;

  push(flow: Flow): void {
    flow.behind = undefined;
    if (this.last) this.last.behind = flow;
    else this.first = flow;
    this.last = flow;
    this.length++;
  }

  shift(): Flow | undefined {
    const flow = this.first;
    if (!flow) return undefined;
    this.first = flow.behind;
    if (!this.first) this.last = undefined;
    flow.behind = undefined;
    this.length--;
    return flow;
  }
}

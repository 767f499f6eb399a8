import { type Call, joined } from './call.ts';

/** Spans above one that are looked at. */
const MAX_DEPTH = 16;

/**
 * The calls of an export, each once, whoever tells of it and how often: two instrumentations of one client, or a span of a
 * framework around that of a client, repeat the same usage.
 *
 * 1. What has the same response id is one call. Where it has counts several times, those of the first count.
 * 2. A call within another one, as its child, is the same where the parent has no counts, or those of its children
 *    together; an only child takes what the parent knows besides. A parent with another response id, or other counts, is a call
 *    of its own.
 *
 * @returns in the order of the export.
 */
export function oneOfEach(calls: readonly Call[]): Call[] {
  if (calls.length < 2) return [...calls];
  const groups = new Groups(calls);
  groups.joinByResponse();
  groups.joinNested();
  return groups.left();
}

/** Calls, and which of them stands for each. */
class Groups {
  /** By position; null: another one stands for it. */
  private readonly standing: (Call | null)[];
  /** The position of each span's call, by its ids; nothing where no call says that it is in another. */
  private readonly bySpan = new Map<string, number>();

  constructor(calls: readonly Call[]) {
    this.standing = [...calls];
    if (calls.every(({ item }) => item.parentSpanId === null)) return;
    for (const [at, { item }] of calls.entries()) {
      if (item.traceId !== null && item.spanId !== null)
        this.bySpan.set(keyOf(item.traceId, item.spanId), at);
    }
  }

  left(): Call[] {
    return this.standing.filter((call) => call !== null);
  }

  joinByResponse(): void {
    const byId = new Map<string, number>();
    for (let at = 0; at < this.standing.length; at++) {
      const call = this.standing[at]!;
      if (call.responseId === null) continue;
      const first = byId.get(call.responseId);
      if (first === undefined) byId.set(call.responseId, at);
      else this.join(first, at);
    }
  }

  joinNested(): void {
    const children = new Map<number, number[]>();
    for (let at = 0; at < this.standing.length; at++) {
      const parent = this.parentOf(at);
      if (parent === null) continue;
      const siblings = children.get(parent);
      if (siblings) siblings.push(at);
      else children.set(parent, [at]);
    }
    if (children.size === 0) return;
    // From the inside out: who is around one that is no more is around those in it.
    const parents = [...children.keys()].map((at) => ({
      at,
      above: this.parentOf(at),
      depth: this.depthOf(at),
    }));
    parents.sort((a, b) => b.depth - a.depth);
    for (const { at, above } of parents) {
      const inside = children.get(at)!.filter((child) => child !== at && this.standing[child]);
      if (this.settle(at, inside) && above !== null) children.get(above)!.push(...inside);
    }
  }

  /** @returns whether the parent was one with what is in it. */
  private settle(parentAt: number, inside: number[]): boolean {
    const parent = this.standing[parentAt];
    const children = inside.map((at) => this.standing[at]!);
    if (!parent || children.length === 0 || !repeats(parent, children)) return false;
    if (inside.length === 1) this.join(inside[0]!, parentAt);
    else this.standing[parentAt] = null;
    return true;
  }

  /** One stands for both from now on: the first, or the other where only that has counts. */
  private join(first: number, other: number): void {
    const [a, b] = [this.standing[first]!, this.standing[other]!];
    const otherKnows = a.usage.status !== 'counted' && b.usage.status === 'counted';
    this.standing[first] = otherKnows ? joined(b, a) : joined(a, b);
    this.standing[other] = null;
    const { traceId, spanId } = b.item;
    if (traceId !== null && spanId !== null) this.bySpan.set(keyOf(traceId, spanId), first);
  }

  /** The position of the call that one is in; null: it is in none. */
  private parentOf(at: number): number | null {
    const call = this.standing[at];
    if (!call || call.item.traceId === null || call.item.parentSpanId === null) return null;
    const parent = this.bySpan.get(keyOf(call.item.traceId, call.item.parentSpanId));
    return parent === undefined || parent === at || !this.standing[parent] ? null : parent;
  }

  private depthOf(at: number): number {
    let depth = 0;
    for (let above = this.parentOf(at); above !== null && depth < MAX_DEPTH; above = this.parentOf(above))
      depth++;
    return depth;
  }
}

function keyOf(traceId: string, spanId: string): string {
  return traceId + spanId;
}

/** Whether what a span says is what those in it say. */
function repeats(parent: Call, children: Call[]): boolean {
  if (parent.responseId !== null && children.some(({ responseId }) => responseId !== null)) return false;
  if (parent.usage.status !== 'counted') return true;
  if (children.length === 1 && children[0]!.usage.status !== 'counted') return true;
  return ['input' as const, 'output' as const].every(
    (kind) => sumOf(children, kind) === (parent.usage.counts[kind] ?? 0),
  );
}

function sumOf(calls: Call[], kind: 'input' | 'output'): number {
  return calls.reduce((sum, { usage }) => sum + (usage.counts[kind] ?? 0), 0);
}

/**
 * A bounded map whose entries are forgotten after `ttlMs`; the oldest goes when it is full. What has expired stays in
 * memory until something else comes, and no longer.
 */
export class ExpiringCache<Value> {
  private readonly entries = new Map<string, { value: Value; until: number }>();
  private readonly ttlMs: number;
  private readonly capacity: number;

  constructor(ttlMs: number, capacity = 10_000) {
    this.ttlMs = ttlMs;
    this.capacity = capacity;
  }

  get(key: string): Value | undefined {
    const entry = this.entries.get(key);
    if (!entry) return undefined;
    if (entry.until > performance.now()) return entry.value;
    this.entries.delete(key);
    return undefined;
  }

  /** @param asOf the moment (performance.now()) the value was true at: when the question was put, not answered. */
  set(key: string, value: Value, asOf = performance.now()): void {
    this.entries.delete(key);
    for (const [oldest, { until }] of this.entries) {
      if (this.entries.size < this.capacity && until > performance.now()) break;
      this.entries.delete(oldest);
    }
    this.entries.set(key, { value, until: asOf + this.ttlMs });
  }

  /** Entries in memory, expired ones included. */
  get size(): number {
    return this.entries.size;
  }

  delete(key: string): void {
    this.entries.delete(key);
  }

  clear(): void {
    this.entries.clear();
  }
}

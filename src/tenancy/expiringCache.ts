/** A bounded map whose entries are forgotten after `ttlMs`; the oldest goes when it is full. */
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
    if (entry.until > Date.now()) return entry.value;
    this.entries.delete(key);
    return undefined;
  }

  set(key: string, value: Value): void {
    this.entries.delete(key);
    if (this.entries.size >= this.capacity) this.entries.delete(this.entries.keys().next().value!);
    this.entries.set(key, { value, until: Date.now() + this.ttlMs });
  }

  delete(key: string): void {
    this.entries.delete(key);
  }

  clear(): void {
    this.entries.clear();
  }
}

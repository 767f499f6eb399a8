/**
 * Remembers which customers have a row already, so that each is registered once and not once per event. Forgets
 * everything when it is full: registering again is harmless.
 */
export class CustomerRegistry {
  private readonly known = new Map<string, Set<string>>();
  private readonly capacity: number;
  private size = 0;

  /** @param capacity customers remembered at most. */
  constructor(capacity = 200_000) {
    this.capacity = capacity;
  }

  has(tenantId: string, customerId: string): boolean {
    return this.known.get(tenantId)?.has(customerId) ?? false;
  }

  remember(tenantId: string, customerId: string): void {
    if (this.has(tenantId, customerId)) return;
    if (this.size >= this.capacity) {
      this.known.clear();
      this.size = 0;
    }
    const customers = this.known.get(tenantId) ?? new Set();
    customers.add(customerId);
    this.known.set(tenantId, customers);
    this.size++;
  }
}

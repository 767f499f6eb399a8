import type { RecentLatencies } from '../../ground/telemetry/recentLatencies.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import type { WriteResult } from './batch.ts';

/** Tenants counted at most; the one counted for longest that nobody looks at goes first, and is counted anew. */
const MAX_TENANTS = 10_000;

/** What has become of events in this instance: of a tenant's, or of all. */
export interface Tally {
  /** From when on, in ms since the epoch. */
  readonly sinceMs: number;
  /** Stored for the first time, and stored before. */
  accepted: number;
  duplicates: number;
  /** With something wrong with them. */
  rejected: number;
  /** From a request's being queued to its commit; null: nobody looks. */
  latencies: RecentLatencies | null;
}

/** Counts the events of this instance, tenant by tenant: for each request, not for each event. */
export class Tallies {
  readonly all = newTally(Date.now());
  private readonly byTenant = new Map<string, Tally>();
  private readonly capacity: number;
  /** From when on whoever is not among them has had nothing, in ms since the epoch. */
  private forgottenMs = this.all.sinceMs;

  constructor(capacity = MAX_TENANTS) {
    this.capacity = capacity;
  }

  /** Of a tenant, or of all (null). The same as long as it is not forgotten for others. */
  of(tenantId: string | null): Tally {
    return tenantId === null ? this.all : this.ofTenant(tenantId);
  }

  /** @param flow the tenant; with a NUL before it: its events are of several. @param ms how long it took. */
  stored(flow: string, events: readonly UsageEvent[], result: WriteResult, ms: number): void {
    add(this.all, result.accepted, result.duplicates, ms);
    if (flow[0] !== '\0') add(this.ofTenant(flow), result.accepted, result.duplicates, ms);
    else this.storedOfSeveral(events, result, ms);
  }

  /** @param tenantId null: of several, or nobody's. */
  rejected(tenantId: string | null, events: number): void {
    this.all.rejected += events;
    if (tenantId !== null) this.ofTenant(tenantId).rejected += events;
  }

  private storedOfSeveral(events: readonly UsageEvent[], result: WriteResult, ms: number): void {
    const refused = new Set(result.refused?.map(({ index }) => index));
    const latencies = new Set<RecentLatencies>();
    for (const [i, { tenantId }] of events.entries()) {
      const tally = this.ofTenant(tenantId);
      if (tally.latencies) latencies.add(tally.latencies);
      if (refused.has(i)) continue;
      if (result.duplicateFlags?.[i]) tally.duplicates++;
      else tally.accepted++;
    }
    for (const recent of latencies) recent.record(ms);
  }

  private ofTenant(tenantId: string): Tally {
    const known = this.byTenant.get(tenantId);
    if (known) return known;
    const made = newTally(this.forgottenMs);
    this.byTenant.set(tenantId, made);
    if (this.byTenant.size > this.capacity) this.forgetOne(made);
    return made;
  }

  private forgetOne(made: Tally): void {
    for (const [tenantId, tally] of this.byTenant) {
      if (tally === made || tally.latencies !== null) continue;
      this.byTenant.delete(tenantId);
      this.forgottenMs = Date.now();
      return;
    }
  }
}

function newTally(sinceMs: number): Tally {
  return { sinceMs, accepted: 0, duplicates: 0, rejected: 0, latencies: null };
}

function add(tally: Tally, accepted: number, duplicates: number, ms: number): void {
  tally.accepted += accepted;
  tally.duplicates += duplicates;
  tally.latencies?.record(ms);
}

import type pg from 'pg';
import { expect } from 'vitest';
import {
  type BruteForce,
  type ClosedBackfill,
  doMeet,
  isInScope,
  type ModelScope,
  supersedes,
} from '../support/bruteForce.ts';
import type { Answer } from '../support/service.ts';
import type { ClientEvent } from '../support/traffic.ts';

/** Asks an instance; null: it has not answered. */
export type Call = (method: string, path: string, body?: unknown) => Promise<Answer | null>;

interface Backfill extends ModelScope {
  /** Null: it is not known whether it was made. */
  id: string | null;
  /** By which it is known. */
  reason: string;
  replaces: boolean;
  staged: ClientEvent[];
  /** Whether all of that is staged; null: that is not known. */
  isFull: boolean | null;
  closed: ClosedBackfill | null;
}

/** What is to be done to a backfill. */
export interface BackfillPlan {
  kind: 'stage' | 'close' | 'revert' | 'drop';
  backfill: Backfill;
  /** Events that may or may not count while it is done. */
  unsteady: ClientEvent[];
}

let backfills = 0;

/** The backfills of a tenant, and what must be true of them. */
export class TenantBackfills {
  private readonly id: string;
  private readonly model: BruteForce;
  private readonly open: Backfill[] = [];
  /** In the order in which they were closed. */
  private readonly closed: Backfill[] = [];
  private unsure: BackfillPlan | null = null;

  constructor(id: string, model: BruteForce) {
    this.id = id;
    this.model = model;
  }

  /** One that is to be staged, of the time that its events have. */
  planned(events: ClientEvent[], replaces: boolean, ofCustomers: boolean): BackfillPlan {
    const staged = [...new Map(events.map((event) => [event.eventId, event])).values()];
    const times = staged.map(({ timestamp }) => Date.parse(timestamp));
    const backfill: Backfill = {
      id: null,
      reason: `backfill ${++backfills}`,
      from: Math.min(...times),
      to: Math.max(...times) + 1,
      customers: ofCustomers ? [...new Set(staged.map(({ customerId }) => customerId))] : null,
      replaces,
      staged,
      isFull: false,
      closed: null,
    };
    return { kind: 'stage', backfill, unsteady: [] };
  }

  /** @param posting whether others post meanwhile: what of that is replaced, too, is anybody's guess. */
  plan(kind: 'close' | 'revert' | 'drop', seed: number, posting: boolean): BackfillPlan | null {
    const from = kind === 'revert' ? this.closed : this.open;
    const backfill = from[seed % (from.length || 1)];
    if (!backfill || (kind === 'close' && backfill.replaces && posting)) return null;
    if (kind === 'drop') return { kind, backfill, unsteady: [] };
    if (kind === 'revert') {
      const { brought, replaced } = backfill.closed!;
      const before = [...brought.values()].flatMap(({ counted }) => counted ?? []);
      return { kind, backfill, unsteady: [...backfill.staged, ...before, ...replaced] };
    }
    const there = [...this.model.events.values()].filter(
      (event) => backfill.replaces && isInScope(event, backfill),
    );
    return { kind, backfill, unsteady: [...this.staged(backfill), ...there] };
  }

  async perform(plan: BackfillPlan, call: Call): Promise<void> {
    const { kind, backfill } = plan;
    if (kind === 'stage') return this.stage(plan, call);
    const path = `/v1/backfills/${backfill.id}`;
    const answer =
      kind === 'drop'
        ? await call('DELETE', path)
        : await call('POST', `${path}/${kind}`, kind === 'revert' ? { reason: backfill.reason } : undefined);
    const later = this.closed.slice(this.closed.indexOf(backfill) + 1);
    if (kind === 'revert' && answer?.status === 409) {
      expect(answer.body.code).toBe('backfill_superseded');
      expect(later.some((other) => supersedes(other, backfill))).toBe(true);
    } else if (answer?.status === 200) {
      if (kind === 'revert') expect(later.some((other) => supersedes(other, backfill))).toBe(false);
      if (kind === 'close') {
        const coming = this.model.coming(this.staged(backfill), backfill, backfill.replaces);
        expect([answer.body.state, answer.body.closed.events]).toEqual(['closed', coming.length]);
      }
      this.done(plan);
    } else {
      if (answer) expect(answer.status, JSON.stringify(answer.body)).toBe(503);
      this.unsure = plan;
    }
  }

  /** What was not acknowledged is done wholly or not at all. */
  async settle(sql: pg.Pool): Promise<void> {
    const { unsure } = this;
    if (!unsure) return;
    this.unsure = null;
    const { kind, backfill } = unsure;
    const { rows } = await sql.query<{ id: string; state: string; staged: string[] }>(
      `select id, state, array(select event_id::text from staged_event where backfill_id = b.id) as staged
       from backfill b where tenant_id = $1 and reason = $2`,
      [this.id, backfill.reason],
    );
    expect(rows, 'made twice').toEqual(rows.slice(0, 1));
    const row = rows[0];
    if (kind === 'stage') {
      if (!row) return;
      expect([0, backfill.staged.length], 'staged in part').toContain(row.staged.length);
      backfill.id = row.id;
      backfill.isFull = row.staged.length > 0;
      if (!this.open.includes(backfill)) this.open.push(backfill);
      return;
    }
    const [before, after] = {
      close: ['staged', 'closed'],
      revert: ['closed', 'reverted'],
      drop: ['staged', 'dropped'],
    }[kind] as [string, string];
    expect([before, after]).toContain(row!.state);
    expect(row!.staged.length).toBe(row!.state === 'staged' ? this.staged(backfill).length : 0);
    if (row!.state === after) this.done(unsure);
  }

  private staged({ isFull, staged }: Backfill): ClientEvent[] {
    return isFull ? staged : [];
  }

  private async stage(plan: BackfillPlan, call: Call): Promise<void> {
    const { backfill } = plan;
    const { from, to, customers, replaces, reason, staged } = backfill;
    const made = await call('POST', '/v1/backfills', {
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      replace: replaces,
      reason,
      ...(customers && { customers }),
    });
    const overlaps = this.open.some((other) => doMeet(other, backfill));
    if (made?.status === 409) {
      expect([made.body.code, overlaps]).toEqual(['backfill_overlaps', true]);
      return;
    }
    if (made?.status !== 201) {
      if (made) expect(made.status, JSON.stringify(made.body)).toBe(503);
      this.unsure = plan;
      return;
    }
    expect(overlaps).toBe(false);
    backfill.id = made.body.id;
    this.open.push(backfill);
    const answer = await call('POST', `/v1/events?backfill=${backfill.id}`, staged);
    if (answer?.status === 200) {
      expect(answer.body).toMatchObject({ staged: staged.length, duplicates: 0 });
      backfill.isFull = true;
    } else {
      if (answer) expect(answer.status, JSON.stringify(answer.body)).toBe(503);
      this.unsure = plan;
    }
  }

  private done({ kind, backfill }: BackfillPlan): void {
    const from = kind === 'revert' ? this.closed : this.open;
    from.splice(from.indexOf(backfill), 1);
    if (kind === 'close') {
      backfill.closed = this.model.close(this.staged(backfill), backfill, backfill.replaces);
      this.closed.push(backfill);
    } else if (kind === 'revert') this.model.revert(backfill.closed!);
  }
}

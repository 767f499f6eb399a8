import type pg from 'pg';
import { expect } from 'vitest';

interface Message {
  type: string;
  // biome-ignore lint/suspicious/noExplicitAny: as written
  payload: any;
}

/**
 * The outbox of a tenant: a window.closed at most once for each window, and just once for each that has not changed
 * since; a window.revised for each revision, but those that corrections have made while it was open; each with the sums of
 * its revision. Nothing for who has not asked.
 *
 * @param windows its closed windows as they are now.
 */
export async function expectMessages(
  sql: pg.Pool,
  tenant: { id: string; subscribed: boolean },
  // biome-ignore lint/suspicious/noExplicitAny: as served
  windows: any[],
): Promise<void> {
  const { rows } = await sql.query<Message>(
    'select type, payload from outbox where tenant_id = $1 order by id',
    [tenant.id],
  );
  if (!tenant.subscribed) {
    expect(rows).toEqual([]);
    return;
  }
  const { rows: causes } = await sql.query<{ key: string; late: number; corrected: number }>(
    `select iso8601(bucket) || ' ' || customer_id as key, count(*) filter (where cause = 'late')::int as late,
       count(*) filter (where cause <> 'late')::int as corrected
     from window_revision where tenant_id = $1 group by 1`,
    [tenant.id],
  );
  const revisions = new Map(causes.map(({ key, ...counts }) => [key, counts]));
  const ofWindow = new Map<string, Message[]>();
  for (const message of rows) {
    const key = `${message.payload.windowStart} ${message.payload.customerId}`;
    ofWindow.set(key, [...(ofWindow.get(key) ?? []), message]);
  }
  for (const window of windows) {
    const key = `${window.windowStart} ${window.customerId}`;
    const messages = ofWindow.get(key) ?? [];
    ofWindow.delete(key);
    const payloads = (type: string) => messages.filter((m) => m.type === type).map((m) => m.payload);
    const revised = payloads('window.revised');
    const closed = payloads('window.closed');
    const { late = 0, corrected = 0 } = revisions.get(key) ?? {};
    expect(late + corrected, key).toBe(window.revision);
    const whileOpen = window.revision - revised.length;
    expect(whileOpen, key).toBeLessThanOrEqual(corrected);
    expect(
      revised.map(({ revision }) => revision),
      key,
    ).toEqual(Array.from({ length: revised.length }, (_, i) => whileOpen + i + 1));
    expect(closed.length, key).toBeLessThanOrEqual(1);
    if (revised.length > 0) expect(revised.at(-1), key).toEqual(window);
    // All of whose events were void before it closed: nobody had heard of it.
    else if (closed.length > 0 || whileOpen === 0 || window.aggregations.totalCalls > 0)
      expect(closed, key).toEqual([window]);
    if (corrected > 0) continue;
    // What closed as it was, and what each revision made of it: calls never go back.
    const calls = [...closed, ...revised]
      .sort((a, b) => a.revision - b.revision)
      .map(({ aggregations }) => aggregations.totalCalls);
    expect(calls, key).toEqual(calls.toSorted((a, b) => a - b));
  }
  expect([...ofWindow.keys()], 'messages of windows that are not closed').toEqual([]);
}

import type pg from 'pg';
import { expect } from 'vitest';

interface Message {
  type: string;
  // biome-ignore lint/suspicious/noExplicitAny: as written
  payload: any;
}

/**
 * The outbox of a tenant: a window.closed at most once for each window, and just once for each that has not changed
 * since; a window.revised for each revision; each with the sums of its revision. Nothing for who has not asked.
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
    expect(
      revised.map(({ revision }) => revision),
      key,
    ).toEqual(Array.from({ length: window.revision }, (_, i) => i + 1));
    expect(closed.length, key).toBeLessThanOrEqual(1);
    if (window.revision === 0) expect(closed, key).toEqual([window]);
    else expect(revised.at(-1), key).toEqual(window);
    // What closed as it was, and what each revision made of it: calls never go back.
    const calls = [...closed, ...revised]
      .sort((a, b) => a.revision - b.revision)
      .map(({ aggregations }) => aggregations.totalCalls);
    expect(calls, key).toEqual(calls.toSorted((a, b) => a - b));
  }
  expect([...ofWindow.keys()], 'messages of windows that are not closed').toEqual([]);
}

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { messagesOf, subscribe } from '../../support/messages.ts';
import { startServiceOn, startTestService, type TestService } from '../../support/service.ts';
import { anEvent, type ClientEvent, randomEvent, randomFrom } from '../../support/traffic.ts';

const WINDOW = 30_000;
const DAY = 86_400_000;
const ROUNDS = 6;
const TENANTS = 3;
const iso = (ms: number) => new Date(ms).toISOString();
const windowOf = ({ timestamp }: ClientEvent) => Math.floor(Date.parse(timestamp) / WINDOW) * WINDOW;
const byText = <Item>(items: Item[]) => items.map((item) => JSON.stringify(item)).sort();

interface Sent {
  /** Its place in the list. */
  tenant: number;
  event: ClientEvent;
}

/** A closed window, as the rules have it. */
interface Revised {
  revision: number;
  references: boolean;
  calls: number;
}

function groupedBy<Item>(items: Item[], keyOf: (item: Item) => string): Item[][] {
  const groups = new Map<string, Item[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return [...groups.values()];
}

/** Of which window of which customer a tenant's event is. */
const placeOf = ({ tenant, event }: Sent) => `${tenant} ${windowOf(event)} ${event.customerId}`;

/** What an answer or a message says of a window, whoever's it is. */
const ofNobody = ({ tenantId: _, ...rest }: Record<string, unknown>) => rest;

describeEngine('closed windows that one batch changes', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService(CLOSED_BY_HAND);
    // Nothing late is refreshed: what a batch has marked stays to be seen.
    await t.sql.query(`update refresh_lease set holder = gen_random_uuid(), until = 'infinity'`);
  });
  afterAll(() => t.stop());

  const post = async (service: TestService, ids: string[], sent: Sent[]) => {
    const body = sent.map(({ tenant, event }) => ({ ...event, tenantId: ids[tenant] }));
    const answer = await service.call('POST', '/v1/events', { body });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    return answer.body as { accepted: number; duplicates: number };
  };
  const tenants = async (count: number) =>
    Promise.all(Array.from({ length: count }, async () => (await t.tenant()).id));
  const revisedOf = async (id: string) => {
    const { rows } = await t.sql.query(
      `select customer_id, extract(epoch from bucket) * 1000 as ms, revision, stale, stale_references
       from late_window where tenant_id = $1`,
      [id],
    );
    return byText(rows.map(({ ms, ...row }) => ({ ...row, at: iso(Number(ms)) })));
  };
  const messages = (id: string) => messagesOf(t.sql, id, 'window.revised');

  describe.each([1, 2, 3])('of %i', (seed) => {
    it('are revised and told of as if each came in a batch of its own, whoever begins or ceases to listen', async () => {
      const random = randomFrom(seed);
      const below = (n: number) => Math.floor(random() * n);
      const [together, apart] = [await tenants(TENANTS), await tenants(TENANTS)];
      const listens: (string[] | null)[] = [['window.revised'], null, ['window.revised', 'record.processed']];
      const types = ['window.revised', 'record.processed'];
      const subscriptions = await Promise.all(
        [...together, ...apart].map((id) => subscribe(t.sql, id, { stream: 'out', types })),
      );
      const stored = new Map<string, Sent>();
      const model = new Map<string, Revised>();
      const told = new Map<string, number>();
      let closed = await closedUntil(t.sql);

      for (let round = 0; round < ROUNDS; round++) {
        if (round > 0) listens[below(TENANTS)] = random() < 0.5 ? null : types.slice(0, 1 + below(2));
        for (const [i, subscription] of subscriptions.entries()) {
          const heard = listens[i % TENANTS] ?? null;
          await t.sql.query('update subscription set active = $2, message_types = $3 where id = $1', [
            subscription,
            heard !== null,
            heard ?? types,
          ]);
        }
        // The service does not know of it: its batch takes these windows for open, and is refused with TM001 at first.
        if (round % 2 === 1) {
          closed += 2 * WINDOW;
          await closeUpTo(t.sql, closed);
        }
        const sent: Sent[] = [];
        const send = (event: ClientEvent) => sent.push({ tenant: below(TENANTS), event });
        for (let i = 0; i < 25; i++) send(randomEvent(random, closed - 4 * WINDOW, closed + 2 * WINDOW));
        for (let i = 0; i < 5; i++) send(randomEvent(random, closed - 25 * DAY, closed));
        for (const at of [closed - 1, closed, closed - WINDOW, closed - WINDOW - 1]) {
          send(anEvent({ timestamp: iso(at) }));
        }
        // Windows of which nothing is new stay as they are.
        const earlier = [...stored.values()];
        for (let i = 0; i < Math.min(8, earlier.length); i++) sent.push(earlier[below(earlier.length)]!);

        const touched = new Map<string, boolean>();
        let fresh = 0;
        for (const each of sent) {
          const { tenant, event } = each;
          const identity = `${tenant} ${event.eventId}`;
          if (stored.has(identity)) continue;
          stored.set(identity, each);
          fresh++;
          if (windowOf(event) >= closed) continue;
          const window = placeOf(each);
          touched.set(window, (touched.get(window) ?? false) || event.reference !== undefined);
        }
        for (const [window, references] of touched) {
          const was = model.get(window);
          model.set(window, {
            revision: (was?.revision ?? 0) + 1,
            references: references || (was?.references ?? false),
            calls: [...stored.values()].filter((one) => placeOf(one) === window).length,
          });
          const tenant = Number(window.split(' ', 1)[0]);
          if (listens[tenant]) told.set(`${window} ${model.get(window)!.revision}`, model.get(window)!.calls);
        }

        expect(await post(t, together, sent)).toEqual({ accepted: fresh, duplicates: sent.length - fresh });
        for (const ofOne of groupedBy(sent, placeOf)) await post(t, apart, ofOne);
      }

      const timescale = t.database.engine === 'timescale';
      for (let tenant = 0; tenant < TENANTS; tenant++) {
        const revised = await revisedOf(together[tenant]!);
        expect(revised).toEqual(await revisedOf(apart[tenant]!));
        const ofTenant = [...model].flatMap(([window, { revision, references }]) => {
          const [whose, ms, ...customer] = window.split(' ');
          if (Number(whose) !== tenant) return [];
          const stale = { stale: timescale, stale_references: timescale && references };
          return [{ customer_id: customer.join(' '), revision, ...stale, at: iso(Number(ms)) }];
        });
        expect(revised).toEqual(byText(ofTenant));

        const heard = await messages(together[tenant]!);
        expect(byText(heard.map(ofNobody))).toEqual(byText((await messages(apart[tenant]!)).map(ofNobody)));
        const ofMessages = heard.map(({ windowStart, customerId, revision, aggregations }) => [
          `${tenant} ${Date.parse(windowStart)} ${customerId} ${revision}`,
          aggregations.totalCalls,
        ]);
        expect(byText(ofMessages)).toEqual(byText([...told].filter(([key]) => key.startsWith(`${tenant} `))));
        expect(
          heard.every(({ tenantId, state }) => tenantId === together[tenant] && state === 'revised'),
        ).toBe(true);

        const served = await Promise.all(
          [together, apart].map(async (ids) => {
            const range = `from=${iso(closed - 4 * WINDOW)}&to=${iso(closed + 3 * WINDOW)}&limit=1000`;
            const headers = { 'x-tenant-id': ids[tenant]! };
            const { status, body } = await t.call('GET', `/v1/windows?${range}`, { headers });
            expect(status, JSON.stringify(body)).toBe(200);
            return body.data.map(ofNobody);
          }),
        );
        expect(served[0].length).toBeGreaterThan(0);
        expect(served[0]).toEqual(served[1]);
      }
      expect(told.size).toBeGreaterThan(0);
      expect([...model.values()].some(({ revision }) => revision > 1)).toBe(true);
    });
  });

  it('wait for each other and never in a circle, in whatever order batches of several instances have them', async () => {
    const other = await startServiceOn(t.database, CLOSED_BY_HAND);
    try {
      const ids = await tenants(TENANTS);
      for (const id of ids) await subscribe(t.sql, id, { stream: 'out', types: ['window.revised'] });
      const base = (await closedUntil(t.sql)) - 40 * WINDOW;
      const random = randomFrom(4);
      const batches = 16;
      const windows = 30;
      await Promise.all(
        Array.from({ length: batches }, (_, i) => {
          const sent = Array.from({ length: TENANTS * windows }, (_, n) => ({
            tenant: n % TENANTS,
            event: anEvent({ timestamp: iso(base + Math.floor(n / TENANTS) * WINDOW) }),
          }));
          const order = sent.map((each) => ({ each, at: random() })).sort((a, b) => a.at - b.at);
          return post(
            i % 2 === 0 ? t : other,
            ids,
            order.map(({ each }) => each),
          );
        }),
      );
      for (const id of ids) {
        const heard = await messages(id);
        const byWindow = groupedBy(heard, ({ windowStart }) => windowStart);
        expect(byWindow.length).toBe(windows);
        for (const ofOne of byWindow) {
          expect(ofOne.map(({ revision }) => revision)).toEqual(ofOne.map((_, i) => i + 1));
          // Each revision has what came with it, and all that came before.
          const calls = ofOne.map(({ aggregations }) => aggregations.totalCalls);
          expect(calls).toEqual([...new Set(calls)].sort((a, b) => a - b));
          expect(calls.at(-1)).toBe(batches);
        }
      }
      for (const service of [t, other]) {
        const { body } = await service.call('GET', '/metrics');
        expect(body).toContain('# TYPE tidemark_ingest_retries_total');
        expect(body).not.toContain('tidemark_ingest_retries_total{sqlstate="40P01"}');
      }
    } finally {
      await other.service.close();
      await other.sql.end();
    }
  });
});

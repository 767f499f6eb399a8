import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { blocksOf, readMarkdown } from '../../support/markdown.ts';
import { deadDelivery, subscribe, writeMessages } from '../../support/messages.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const blocks = blocksOf(await readMarkdown('docs/psql.md')).filter(({ language }) => language === 'sql');
const ofTimescale = (before: string) => before.includes('TimescaleDB only');
/** Blocks that show something on the database below: of the others, nothing waits or nothing is wrong. */
const EMPTY_WHEN_WELL = [
  'who waits for whom',
  'batches under way',
  'keys that are about to end',
  'endpoints that fail',
  'what holds back vacuum',
];

describeEngine('docs/psql.md', () => {
  let t: TestService;
  let client: pg.Client;
  beforeAll(async () => {
    t = await startTestService(CLOSED_BY_HAND);
    await t.call('POST', '/v1/tenants', { body: { id: 'demo', name: 'Demo' } });
    await t.call('POST', '/v1/keys', { body: { tenantId: 'demo', scopes: ['read'] } });
    const headers = { 'x-tenant-id': 'demo' };
    const closed = await closedUntil(t.sql);
    const at = (ms: number) => new Date(ms).toISOString();
    const event = (ms: number) =>
      anEvent({
        timestamp: at(ms),
        customerId: 'acme',
        reference: 'order-1',
        metadata: { model: 'gpt-4', inputTokens: 5, outputTokens: 7, latencyMs: 120 },
      });
    const body = [event(closed - 1_800_000), event(closed + 1), event(closed + 2)];
    const answer = await t.call('POST', '/v1/events', { headers, body });
    expect(answer.status).toBe(200);
    await t.call('POST', '/v1/counters/increment', { headers, body: { key: 'calls', value: 3 } });
    const price = { model: 'gpt-4', currency: 'USD', per: 'million', unitPrices: { input: 2, output: 8 } };
    expect((await t.call('POST', '/v1/prices', { headers, body: price })).status).toBe(201);
    await closeUpTo(t.sql, closed + 30_000);
    await until(async () => (await t.sql.query('select from meter_1d limit 1')).rowCount === 1);
    const subscription = await subscribe(t.sql, 'demo', { url: 'http://127.0.0.1:9/' });
    await deadDelivery(t.sql, 'demo', subscription);
    await t.sql.query(`insert into endpoint_health (subscription_id, failures) values ($1, 3)`, [
      subscription,
    ]);
    await writeMessages(t.sql, 'demo', [{ customerId: 'acme' }]);
    client = new pg.Client(t.database.url);
    await client.connect();
  });
  afterAll(async () => {
    await client.end();
    await t.stop();
  });

  /** The result of the statement that shows something, of all in a block. */
  const shown = async (code: string): Promise<pg.QueryResult> => {
    const results = [await client.query(code)].flat() as pg.QueryResult[];
    return results.find(({ command }) => command === 'SELECT')!;
  };

  it('has blocks', () => {
    expect(blocks.length).toBeGreaterThan(25);
    expect(blocks.filter(({ before }) => ofTimescale(before)).length).toBe(3);
  });

  describe.each(blocks.map((block) => [block.line, block] as const))('line %i', (_, { before, code }) => {
    it('runs, and shows what it says', async (ctx) => {
      if (ofTimescale(before) && inject('engine') === 'postgres') return ctx.skip();
      const { fields, rows } = await shown(code);
      expect(fields.length).toBeGreaterThan(1);
      for (const { name } of fields) expect(name).not.toBe('?column?');
      if (EMPTY_WHEN_WELL.some((words) => before.toLowerCase().includes(words))) return;
      if (before.includes('(retention and compression)')) return;
      expect(rows.length, code).toBeGreaterThan(0);
    });
  });

  it('shows a tenant through the views, and is an error without one', async () => {
    const views = blocks.filter(({ code }) => /tenant_data\.(?!latency_)/.test(code));
    expect(views.length).toBe(2);
    for (const { code } of views) {
      const without = code.replace(/^set local tidemark.*$/m, '');
      await expect(client.query(without)).rejects.toMatchObject({ code: 'TM002' });
      await client.query('rollback');
    }
    const { rows } = await shown(views[0]!.code);
    const ofAcme = rows.filter(({ customer_id }) => customer_id === 'acme');
    expect(ofAcme.reduce((sum, { tokens }) => sum + Number(tokens), 0)).toBe(36);
    const other = await shown(views[0]!.code.replace(`'demo'`, `'another'`));
    expect(other.rows).toEqual([]);
  });

  it('finds neither a difference nor a duplicate', async () => {
    const twice = blocks.find(({ code }) => code.includes('without_identity'))!;
    expect((await shown(twice.code)).rows).toEqual([{ twice: '0', without_identity: '0' }]);
    const totals = blocks.find(({ code }) => code.includes('rolled_up'))!;
    await expect
      .poll(async () => (await shown(totals.code)).rows[0], { timeout: 10_000 })
      .toEqual({ events: '4', rolled_up: '4', difference: '0' });
  });
});

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BruteForce } from '../../support/bruteForce.ts';
import { buildProgram } from '../../support/buildProgram.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { allPages, expectExact } from '../../support/compareSummaries.ts';
import { describeEngine } from '../../support/database.ts';
import { runTidemark } from '../../support/runTidemark.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent } from '../../support/traffic.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const GRANULARITIES = ['30s', '1m', '5m', '15m', '1h', '1d', '1mo'];

/** `value` means one thing everywhere: an event of type negative takes away what it says. */
describeEngine('the sign of values', () => {
  let t: TestService;
  beforeAll(async () => {
    await buildProgram();
    t = await startTestService({ ...CLOSED_BY_HAND, CLOSER_STEP_MINUTES: '1440' });
    t.config.ingest.acceptAheadMs = 10 * DAY; // time here runs ahead
  });
  afterAll(() => t.stop());

  const iso = (ms: number) => new Date(ms).toISOString();
  const ask = (path: string, key: string) => t.call('GET', path, { key });
  const nextDay = async () => (Math.floor((await closedUntil(t.sql)) / DAY) + 1) * DAY;

  async function post(path: string, key: string, body: unknown, headers = {}): Promise<void> {
    const answer = await t.call('POST', path, { key, body, headers });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  }

  async function refreshed(upTo: number): Promise<void> {
    await closeUpTo(t.sql, upTo);
    await until(async () => {
      const { rows } = await t.sql.query(
        `select exists (select from late_window where stale or stale_references and bucket < refreshed_1d)
           or ($1 and refreshed_1d < date_bin('1 day', closed_until, 'epoch'::timestamptz)) as busy from window_state`,
        [t.database.engine === 'timescale'],
      );
      return !rows[0].busy;
    }, 60_000);
  }

  /** The value of each type as every granularity has it, and of all together; one answer where they agree. */
  async function valuesOf(key: string, from: number, to: number, filter = '') {
    const range = `from=${iso(from)}&to=${iso(to)}${filter}`;
    const answers = await Promise.all(
      GRANULARITIES.map(async (granularity) => {
        const series = `/v1/usage?${range}&granularity=${granularity}&limit=10000`;
        const all = await allPages(ask, series, key);
        const typed = await allPages(ask, `${series}&groupBy=eventType`, key);
        const sums = new Map<string, bigint>();
        const add = (name: string, value: string) => {
          const [whole = '0', fraction = ''] = value.replace('-', '').split('.');
          const scaled = BigInt(whole + fraction.padEnd(18, '0'));
          sums.set(name, (sums.get(name) ?? 0n) + (value.startsWith('-') ? -scaled : scaled));
        };
        for (const point of all) add('total', point.value);
        for (const point of typed) add(point.eventType, point.value);
        return [granularity, Object.fromEntries(sums)] as const;
      }),
    );
    for (const [granularity, sums] of answers) expect(sums, granularity).toEqual(answers[0]![1]);
    return Object.fromEntries(
      Object.entries(answers[0]![1]).map(([name, sum]) => [name, Number(sum) / 1e18]),
    );
  }

  const record = (type: string, value: string, time: number, more = {}) => ({
    recordId: randomUUID(),
    time: iso(time),
    sourceId: 'ledger',
    destinationId: 'acme',
    type,
    value,
    ...more,
  });

  it('+60 and -60 are 0: in records, usage, sessions, before and after a refresh', async () => {
    const { key } = await t.tenant();
    const at = await nextDay();
    const both = [
      record('positive', '60', at, { reference: 'r' }),
      record('negative', '60', at + 1, { reference: 'r' }),
    ];
    for (const one of both) await post('/v1/records', key, one);
    const check = async () => {
      const range = `from=${iso(at - HOUR)}&to=${iso(at + DAY)}`;
      expect((await ask(`/v1/records?${range}`, key)).body.data).toMatchObject([
        { destinationId: 'acme', totalValue: '0', positiveTotal: '60', negativeTotal: '60' },
      ]);
      expect(await valuesOf(key, at - HOUR, at + DAY)).toEqual({ total: 0, positive: 60, negative: -60 });
      expect(await valuesOf(key, at, at + 10)).toEqual({ total: 0, positive: 60, negative: -60 }); // of the events
      expect((await ask('/v1/sessions/r', key)).body).toMatchObject({
        value: '0',
        byType: { positive: { value: '60' }, negative: { value: '-60' } },
      });
      // Events are shown as they were sent.
      const events = (await ask(`/v1/events?${range}`, key)).body.data;
      expect(events.map(({ value }: { value: string }) => value)).toEqual(['60', '60']);
    };
    await check();
    await refreshed(at + DAY);
    await check();
  });

  it('whatever the dialect, with decimals, other types, and values below zero', async () => {
    const { key } = await t.tenant();
    const at = await nextDay();
    await post('/v1/records', key, record('negative', '0.000000000000000003', at));
    await post('/v1/records', key, record('positive', '99999999999999999999', at + 1));
    await post('/v1/records', key, record('negative', '99999999999999999999', at + 2));
    const native = (eventType: string, value: string | number) =>
      ({ ...anEvent({ timestamp: iso(at + 3), customerId: 'acme' }), eventType, value }) as ClientEvent;
    await post('/v1/events', key, [
      native('negative', '10.5'),
      native('negative', -4),
      native('refund', '7'),
    ]);
    await post(
      '/v1/events',
      key,
      {
        ...{
          specversion: '1.0',
          id: randomUUID(),
          source: '/shop',
          type: 'negative',
          subject: 'acme',
          time: iso(at + 4),
        },
        data: { value: '2.25' },
      },
      { 'content-type': 'application/cloudevents+json' },
    );
    const range = `from=${iso(at)}&to=${iso(at + DAY)}&granularity=1d`;
    const check = async () => {
      const typed = await allPages(ask, `/v1/usage?${range}&groupBy=eventType`, key);
      expect(typed.map(({ eventType, value }) => [eventType, value])).toEqual([
        ['negative', '-100000000000000000007.750000000000000003'],
        ['positive', '99999999999999999999'],
        ['refund', '7'],
      ]);
      const value = async (more: string) => (await allPages(ask, `/v1/usage?${range}${more}`, key))[0].value;
      expect(await value('')).toBe('-1.750000000000000003');
      expect(await value('&eventType=negative')).toBe('-100000000000000000007.750000000000000003');
      expect(await value('&customerId=acme')).toBe('-1.750000000000000003');
      const csv = await t.call('GET', `/v1/usage?${range}`, { key, headers: { accept: 'text/csv' } });
      expect(csv.body).toContain(',-1.750000000000000003,');
    };
    await check();
    await refreshed(at + DAY);
    await check();
  });

  it('of a session over several days, with late records, by type', async () => {
    const { key } = await t.tenant();
    const at = await nextDay();
    const model = new BruteForce();
    const send = async (day: number, type: 'positive' | 'negative', value: string) => {
      const event = anEvent({
        timestamp: iso(at + day * DAY + HOUR),
        eventType: type,
        value,
        reference: 'invoice',
      });
      await post('/v1/events', key, event);
      model.add([event]);
    };
    const check = async () =>
      expect((await ask('/v1/sessions/invoice', key)).body).toEqual(model.session('invoice'));
    await send(0, 'positive', '100');
    await send(1, 'negative', '30.25');
    await send(2, 'negative', '80');
    await check();
    await refreshed(at + 3 * DAY);
    await check();
    await send(0, 'negative', '5');
    await send(1, 'positive', '0.75');
    await check();
    await refreshed(at + 3 * DAY + 60_000);
    await check();
  });

  it('in what the command line exports, and in the views that psql reads', async () => {
    const { id, key } = await t.tenant();
    const at = await nextDay();
    await post('/v1/records', key, record('positive', '60', at, { reference: 'r' }));
    await post('/v1/records', key, record('negative', '60.5', at, { reference: 'r' }));
    const range = ['--from', iso(at), '--to', iso(at + DAY)];
    const args = ['export', 'usage', '--tenant', id, ...range, '--format', 'ndjson'];
    const env = { DATABASE_URL: t.database.url };
    const lines = (await runTidemark([...args, '--group-by', 'eventType'], env)).out.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).value)).toEqual(['-60.5', '60']);
    expect(JSON.parse((await runTidemark(args, env)).out).value).toBe('-0.5');
    const csv = await runTidemark([...args.slice(0, -1), 'csv'], env);
    expect(csv.out.split('\r\n')[1]).toContain(',-0.5,');
    const client = await t.sql.connect();
    try {
      for (const relation of ['usage_30s', 'usage_1h', 'usage_1d', 'reference_1d']) {
        await client.query('begin');
        await client.query(
          `select set_config('role', 'tidemark_read', true), set_config('tidemark.tenant_id', $1, true)`,
          [id],
        );
        const { rows } = await client.query(
          `select sum(signed_value) as value, sum(value_sum) as sent from tenant_data.${relation}`,
        );
        expect(rows, relation).toEqual([{ value: '-0.5', sent: '120.5' }]);
        await client.query('rollback');
      }
    } finally {
      client.release(true);
    }
  });

  it('in every summary of mixed events', async () => {
    const tenant = await t.tenant();
    const at = await nextDay();
    const model = new BruteForce();
    const types = ['positive', 'negative', 'click', undefined];
    const events = Array.from({ length: 60 }, (_, i) => {
      const type = types[i % 4];
      const value = ['0.1', '-2.5', '1000', undefined][Math.floor(i / 4) % 4];
      return {
        ...anEvent({ timestamp: iso(at + i * 1_400_000), customerId: `c${i % 3}` }),
        ...(type !== undefined && { eventType: type }),
        ...(value !== undefined && { value }),
      };
    });
    await post('/v1/events', tenant.key, events);
    model.add(events);
    await expectExact(ask, tenant, model, at - HOUR, at + 2 * DAY);
    await refreshed(at + 2 * DAY);
    await expectExact(ask, tenant, model, at - HOUR, at + 2 * DAY);
  });
});

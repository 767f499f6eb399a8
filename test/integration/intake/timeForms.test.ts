import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { ADMIN_KEY, type Answer, startTestService, type TestService } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

/** Two hours ago, on the minute. */
const MOMENT = Math.floor(Date.now() / 60_000) * 60_000 - 7_200_000;
const iso = new Date(MOMENT).toISOString();
const [date, time] = [iso.slice(0, 10), iso.slice(11, 16)];
const elsewhere = new Date(MOMENT + 5.5 * 3_600_000).toISOString();

/** All of the same moment. */
const FORMS: [string, string | number][] = [
  ['without seconds', `${date}T${time}Z`],
  ["PostgreSQL's own", `${date} ${time}:00+00`],
  ['an offset without a colon', `${date}T${time}:00+0000`],
  ['an offset elsewhere', `${elsewhere.slice(0, 19)}+05:30`],
  ['a comma', `${date}T${time}:00,000Z`],
  ['lower case', `${date}t${time}z`],
  ['the basic format', `${date.replaceAll('-', '')}T${time.replace(':', '')}00Z`],
  ['seconds', MOMENT / 1_000],
  ['seconds with a fraction, as text', `${MOMENT / 1_000}.000`],
  ['ms', MOMENT],
  ['ms as text', String(MOMENT)],
  ['µs', MOMENT * 1_000],
  ['ns as text', `${MOMENT}000000`],
];

describeEngine('a time of any form', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
  });
  afterAll(() => t.stop());

  const momentsOf = async (tenantId: string): Promise<number[]> => {
    const { rows } = await t.sql.query('select ts from event where tenant_id = $1', [tenantId]);
    return rows.map(({ ts }) => ts.getTime());
  };
  const faultsOf = (answer: Answer) =>
    answer.body.errors.map(({ pointer, code }: { pointer: string; code: string }) => `${pointer} ${code}`);

  it.each(FORMS)('%s: %s is taken of events, CloudEvents and records', async (_, form) => {
    const { id, key } = await t.tenant();
    const event = { ...anEvent(), timestamp: form };
    expect((await t.call('POST', '/v1/events', { key, body: event })).body).toMatchObject({ accepted: 1 });
    const lines = `${JSON.stringify({ ...anEvent(), timestamp: form })}\n`;
    const ndjson = { 'content-type': 'application/x-ndjson' };
    expect((await t.call('POST', '/v1/events', { key, body: lines, headers: ndjson })).status).toBe(200);
    const ce = { specversion: '1.0', id: 'a', source: '/s', type: 'x', subject: 'c', time: form };
    const structured = { 'content-type': 'application/cloudevents+json' };
    expect((await t.call('POST', '/v1/events', { key, body: ce, headers: structured })).status).toBe(200);
    const binary = Object.fromEntries(
      Object.entries({ ...ce, id: 'b' }).map(([name, value]) => [`ce-${name}`, String(value)]),
    );
    expect(
      (
        await t.call('POST', '/v1/events', {
          key,
          body: '{}',
          headers: { ...binary, 'content-type': 'application/json' },
        })
      ).status,
    ).toBe(200);
    const record = { recordId: 'r', time: form, destinationId: 'd', type: 'positive', value: 1 };
    expect((await t.call('POST', '/v1/records', { key, body: record })).status).toBe(200);
    expect(await momentsOf(id)).toEqual(Array.from({ length: 5 }, () => MOMENT));
  });

  it('may be ns as a JSON number, which is no double', async () => {
    const { id, key } = await t.tenant();
    const body = JSON.stringify(anEvent()).replace(/"timestamp":"[^"]*"/, `"timestamp":${MOMENT}000001`);
    expect((await t.call('POST', '/v1/events', { key, body })).body).toMatchObject({ accepted: 1 });
    expect(await momentsOf(id)).toEqual([MOMENT]);
  });

  it.each(FORMS)('%s: %s bounds what is read', async (_, form) => {
    const { key } = await t.tenant();
    const event = anEvent({ timestamp: iso });
    await t.call('POST', '/v1/events', {
      key,
      body: [event, anEvent({ timestamp: new Date(MOMENT - 1).toISOString() })],
    });
    const text = encodeURIComponent(String(form));
    for (const path of [
      '/v1/events',
      '/v1/windows',
      '/v1/records',
      '/v1/usage?granularity=1h',
      '/v1/summaries/hourly',
    ]) {
      const sign = path.includes('?') ? '&' : '?';
      const answer = await t.call('GET', `${path}${sign}from=${text}`, { key });
      expect([path, answer.status]).toEqual([path, 200]);
      const until = await t.call('GET', `${path}${sign}from=${MOMENT - 3_600_000}&to=${text}`, { key });
      expect([path, until.status]).toEqual([path, 200]);
    }
    const { body } = await t.call('GET', `/v1/events?from=${text}`, { key });
    expect(body.data.map(({ eventId }: { eventId: string }) => eventId)).toEqual([event.eventId]);
    expect((await t.call('GET', `/v1/windows?closedAfter=${text}`, { key })).status).toBe(200);
  });

  it('may have its plus sign unencoded', async () => {
    const { key } = await t.tenant();
    const event = anEvent({ timestamp: iso });
    await t.call('POST', '/v1/events', {
      key,
      body: [event, anEvent({ timestamp: new Date(MOMENT - 1).toISOString() })],
    });
    for (const form of [
      `${elsewhere.slice(0, 19)}+05:30`,
      `${date}T${time}+0000`,
      `${date}%20${time}:00+00`,
    ]) {
      const { body } = await t.call('GET', `/v1/events?from=${form}`, { key });
      expect([form, body.data?.length]).toEqual([form, 1]);
    }
  });

  it('ends a key', async () => {
    const { id } = await t.tenant();
    const soon = Math.floor(Date.now() / 60_000) * 60_000 + 3_600_000;
    const make = (expiresAt: unknown) =>
      t.call('POST', '/v1/keys', { key: ADMIN_KEY, body: { tenantId: id, scopes: ['read'], expiresAt } });
    const whole = new Date(soon).toISOString();
    for (const form of [
      `${whole.slice(0, 16)}Z`,
      `${whole.slice(0, 19).replace('T', ' ')}+00`,
      soon / 1_000,
      String(soon),
    ]) {
      const made = await make(form);
      expect([form, made.status, made.body.expiresAt]).toEqual([form, 201, whole]);
    }
    for (const wrong of ['tomorrow', 12_345, `${whole.slice(0, 16)}`, '2026-W48-5T00:00Z']) {
      expect((await make(wrong)).body).toMatchObject({ status: 400, errors: [{ pointer: '/expiresAt' }] });
    }
    expect((await make(iso)).status).toBe(400);
  });

  describe('that cannot be told', () => {
    it.each([
      [12_345, 'neither 10 digits'],
      ['17642326201', 'neither 10 digits'],
      [1.5, 'neither 10 digits'],
      [`${date}T${time}`, 'this one has none'],
      ['2026-W48-5T17:37Z', 'no week or ordinal date'],
      ['yesterday', 'ISO 8601 date-time with a zone'],
    ])('%s is refused with what is wrong about it', async (form, reason) => {
      const { key } = await t.tenant();
      const answer = await t.call('POST', '/v1/events', { key, body: { ...anEvent(), timestamp: form } });
      const code = typeof form === 'number' ? 'type_invalid' : 'timestamp_invalid';
      expect(faultsOf(answer)).toEqual([`/timestamp ${code}`]);
      expect(answer.body.errors[0].message).toContain(reason);
      const record = { recordId: 'r', time: form, destinationId: 'd', type: 'positive', value: 1 };
      expect(faultsOf(await t.call('POST', '/v1/records', { key, body: record }))).toEqual([`/time ${code}`]);
      const read = await t.call('GET', `/v1/events?from=${encodeURIComponent(String(form))}`, { key });
      expect(read.body).toMatchObject({
        status: 400,
        code: 'range_invalid',
        detail: expect.stringContaining(reason),
      });
    });
  });

  it('with a leap second is of the day, and the window, that it ends', async () => {
    const { id, key } = await t.tenant();
    const day = new Date(Math.floor(Date.now() / 86_400_000) * 86_400_000 - 86_400_000)
      .toISOString()
      .slice(0, 10);
    const body = [`${day}T23:59:60Z`, `${day}T23:59:60.999Z`].map((timestamp) => anEvent({ timestamp }));
    expect((await t.call('POST', '/v1/events', { key, body })).body).toMatchObject({ accepted: 2 });
    const { rows } = await t.sql.query(`select distinct ts::text from event where tenant_id = $1`, [id]);
    expect(rows).toHaveLength(1);
    const usage = await t.call('GET', `/v1/usage?granularity=1d&from=${day}T00:00Z`, { key });
    expect(usage.body.data).toMatchObject([{ bucket: `${day}T00:00:00.000Z`, calls: 2 }]);
    const windows = await t.call('GET', `/v1/windows?from=${day}T00:00Z`, { key });
    expect(windows.body.data).toMatchObject([{ windowStart: `${day}T23:59:30.000Z` }]);
  });
});

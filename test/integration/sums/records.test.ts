import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const aRecord = (fields: Record<string, unknown> = {}): Record<string, unknown> => ({
  recordId: randomUUID(),
  time: new Date().toISOString(),
  sourceId: 'ledger-1',
  destinationId: 'acme',
  type: 'positive',
  value: '12.50',
  unit: 'EUR',
  reference: 'invoice-9',
  ...fields,
});

describeEngine('POST /v1/records', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
  });
  afterAll(() => t.stop());

  const post = (key: string, body: unknown, headers: Record<string, string> = {}, query = '') =>
    t.call('POST', `/v1/records${query}`, { key, body, headers });
  const storedOf = async (id: string) =>
    (await t.sql.query('select * from event where tenant_id = $1 order by ts, value', [id])).rows;

  it('stores a record as an event', async () => {
    const { id, key } = await t.tenant();
    const record = aRecord({ recordId: 'transfer-17', time: `${new Date().toISOString().slice(0, -1)}123Z` });
    expect((await post(key, record)).body).toEqual({ accepted: 1, duplicates: 0 });
    const { body } = await t.call('GET', '/v1/events', { key });
    expect(body.data).toEqual([
      {
        eventId: 'transfer-17',
        timestamp: record.time,
        receivedAt: expect.any(String),
        tenantId: id,
        customerId: 'acme',
        eventType: 'positive',
        sourceId: 'ledger-1',
        reference: 'invoice-9',
        unit: 'EUR',
        value: '12.5',
        metadata: {},
      },
    ]);
  });

  it('takes one, an array and NDJSON, plain and gzipped, and answers as POST /v1/events does', async () => {
    const { id, key } = await t.tenant();
    const least = { sourceId: undefined, unit: undefined, reference: undefined };
    expect((await post(key, aRecord(least))).body).toEqual({ accepted: 1, duplicates: 0 });
    const twice = aRecord({ type: 'negative' });
    expect((await post(key, [twice, twice, aRecord()])).body).toEqual({ accepted: 2, duplicates: 1 });
    const lines = `${JSON.stringify(aRecord())}\n\n${JSON.stringify(twice)}`;
    const ndjson = await post(key, lines, { 'content-type': 'application/x-ndjson' });
    expect(ndjson.body).toEqual({ accepted: 1, duplicates: 1 });
    const zipped = await post(key, gzipSync(JSON.stringify(aRecord())), { 'content-encoding': 'gzip' });
    expect(zipped.body).toEqual({ accepted: 1, duplicates: 0 });
    const skipped = await post(key, [aRecord(), aRecord({ type: 'neutral' })], {}, '?onInvalid=skip');
    expect(skipped.body).toMatchObject({
      accepted: 1,
      rejected: 1,
      results: [{ status: 'accepted' }, { status: 'invalid' }],
    });
    const later = await post(key, aRecord(), { prefer: 'respond-async' });
    expect([later.status, later.body]).toEqual([202, { queued: 1 }]);
    await expect.poll(async () => (await storedOf(id)).length).toBe(7);
    expect((await post(key, ' '.repeat(9_000_000))).body).toMatchObject({
      status: 413,
      code: 'body_too_large',
    });
    expect((await post(key, '[]')).body).toMatchObject({ status: 400, code: 'empty_batch' });
    const foreign = await post(key, aRecord(), { 'content-type': 'application/cloudevents+json' });
    expect(foreign.body).toMatchObject({ status: 415, code: 'unsupported_media_type' });
  });

  it('keeps decimals to the last digit', async () => {
    const { id, key } = await t.tenant();
    const values = [
      '0.000000000000000001',
      '0.1',
      '1',
      '1234567890.000000000000000009',
      '99999999999999999999.999999999999999999',
    ];
    const time = new Date().toISOString();
    await post(
      key,
      values.map((value) => aRecord({ value, time })),
    );
    await post(key, aRecord({ value: 0.1 + 0.2, time }));
    expect((await storedOf(id)).map(({ value }) => value)).toEqual([
      ...values.slice(0, 2),
      '0.30000000000000004',
      ...values.slice(2),
    ]);
  });

  it('counts a recordId once, be it sent as a record or as an event', async () => {
    const { id, key } = await t.tenant();
    const recordId = randomUUID();
    await post(key, aRecord({ recordId }));
    expect((await post(key, aRecord({ recordId: recordId.toUpperCase(), value: 3 }))).body.duplicates).toBe(
      1,
    );
    const event = { ...anEvent(), eventId: recordId };
    expect((await t.call('POST', '/v1/events', { key, body: event })).body.duplicates).toBe(1);
    expect(await storedOf(id)).toHaveLength(1);
  });

  it.each([
    [{ recordId: undefined }, '/recordId', 'required'],
    [{ recordId: '' }, '/recordId', 'too_short'],
    [{ recordId: 'x'.repeat(257) }, '/recordId', 'too_long'],
    [{ recordId: 'a\u0000' }, '/recordId', 'text_invalid'],
    [{ recordId: 'a\ud800' }, '/recordId', 'text_invalid'],
    [{ time: undefined }, '/time', 'required'],
    [{ time: 'now' }, '/time', 'timestamp_invalid'],
    [{ time: '2026-01-01T00:00:00' }, '/time', 'timestamp_invalid'],
    [{ time: '2001-01-01T00:00:00Z' }, '/time', 'timestamp_too_old'],
    [{ time: '2101-01-01T00:00:00Z' }, '/time', 'timestamp_too_new'],
    [{ destinationId: undefined }, '/destinationId', 'required'],
    [{ destinationId: 7 }, '/destinationId', 'type_invalid'],
    [{ sourceId: null }, '/sourceId', 'type_invalid'],
    [{ type: undefined }, '/type', 'required'],
    [{ type: 'neutral' }, '/type', 'not_allowed'],
    [{ type: 'Positive' }, '/type', 'not_allowed'],
    [{ type: 1 }, '/type', 'not_allowed'],
    [{ value: undefined }, '/value', 'required'],
    [{ value: null }, '/value', 'type_invalid'],
    [{ value: {} }, '/value', 'type_invalid'],
    [{ value: 0 }, '/value', 'value_not_positive'],
    [{ value: '0.00' }, '/value', 'value_not_positive'],
    [{ value: '-1' }, '/value', 'value_not_positive'],
    [{ value: '1,5' }, '/value', 'value_invalid'],
    [{ value: '100000000000000000000' }, '/value', 'value_invalid'],
    [{ value: '0.0000000000000000001' }, '/value', 'value_invalid'],
    [{ value: 1e20 }, '/value', 'value_invalid'],
    [{ unit: 'x'.repeat(65) }, '/unit', 'too_long'],
    [{ tenantId: 'another' }, '/tenantId', 'unknown_field'],
    [{ metadata: {} }, '/metadata', 'unknown_field'],
  ])('refuses %j', async (fields, pointer, code) => {
    const { id, key } = await t.tenant();
    const answer = await post(key, [aRecord(), aRecord(fields)]);
    expect(answer.body).toMatchObject({
      status: 422,
      code: 'invalid_events',
      errors: [{ index: 1, pointer, code }],
    });
    expect(await storedOf(id)).toEqual([]);
  });

  it('refuses what is no record, and a platform key that names no tenant', async () => {
    const { id, key } = await t.tenant();
    for (const body of ['5', 'null', '[[]]']) {
      expect((await post(key, body)).body.errors).toMatchObject([{ pointer: '', code: 'type_invalid' }]);
    }
    expect((await post(key, '{')).body).toMatchObject({ status: 400, code: 'invalid_json' });
    expect((await t.call('POST', '/v1/records', { body: aRecord() })).body.code).toBe('tenant_required');
    const headers = { 'x-tenant-id': id };
    expect((await t.call('POST', '/v1/records', { body: aRecord(), headers })).status).toBe(200);
    expect((await post(key, aRecord(), {}, '?onInvalid=maybe')).body.code).toBe('invalid_request');
  });
});

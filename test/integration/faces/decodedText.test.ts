import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { type Answer, startTestService, type TestService } from '../../support/service.ts';
import { IDENTITIES } from '../../support/storedEvents.ts';
import { anEvent } from '../../support/traffic.ts';

const CE = { 'content-type': 'application/cloudevents+json' };
const BATCH = { 'content-type': 'application/cloudevents-batch+json' };
const NDJSON = { 'content-type': 'application/x-ndjson' };
const cloudEvent = (fields: object) => ({
  ...{ specversion: '1.0', id: crypto.randomUUID(), source: '/s', type: 'x', subject: 'c' },
  ...fields,
});
const inBase64 = (data: string | Buffer, datacontenttype = 'application/json') =>
  cloudEvent({ datacontenttype, data_base64: Buffer.from(data).toString('base64') });
const faultsOf = (answer: Answer) =>
  (answer.body.errors ?? []).map(
    ({ index, pointer, code }: { index: number; pointer: string; code: string }) =>
      `${index} ${pointer} ${code}`,
  );

describeEngine('what is decoded is checked as what is sent plainly', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
  });
  afterAll(() => t.stop());

  const post = (key: string, body: unknown, headers: Record<string, string>, query = '') =>
    t.call('POST', `/v1/events${query}`, { key, body, headers });
  const countOf = async (tenantId: string): Promise<number> => {
    const { rows } = await t.sql.query('select count(*)::int as n from event where tenant_id = $1', [
      tenantId,
    ]);
    return rows[0].n;
  };

  const UNSTORABLE: [string, string, string][] = [
    ['an unpaired surrogate in a reference', '{"reference":"a\\ud800"}', '/data/reference'],
    ['the other half', '{"reference":"\\udc00b"}', '/data/reference'],
    ['a NUL in a reference', '{"reference":"a\\u0000"}', '/data/reference'],
    ['a NUL deep in metadata', '{"a":[{"b":["\\u0000"]}]}', '/data/a/0/b/0'],
    ['a NUL in a name', '{"a":{"\\u0000":1}}', '/data/a'],
    ['an unpaired surrogate in a name', '{"\\ud83d":1}', '/data'],
    ['a text that is all of it', '"\\ud800"', '/data'],
    ['an array', '["\\u0000"]', '/data/0'],
    ['a model', '{"model":"\\ud800"}', '/data/model'],
  ];

  describe.each([
    ['data_base64', (json: string) => inBase64(json)],
    [
      'data_base64 of another type of JSON',
      (json: string) => inBase64(json, 'application/vnd.x+json; charset=utf-8'),
    ],
  ])('%s', (_, event) => {
    it.each(UNSTORABLE)('%s is refused with its place', async (_case, json, pointer) => {
      const { id, key } = await t.tenant();
      const batch = [event('{"n":1}'), event(json), event('{"n":2}')];
      const answer = await post(key, batch, BATCH);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(faultsOf(answer)).toEqual([`1 ${pointer} text_invalid`]);
      expect(await countOf(id)).toBe(0);
      const skipped = await post(key, batch, BATCH, '?onInvalid=skip');
      expect(skipped.body).toMatchObject({ accepted: 2, rejected: 1 });
      expect(skipped.body.results[1]).toMatchObject({ status: 'invalid', errors: [{ pointer }] });
      expect(await countOf(id)).toBe(2);
    });

    it('of a text in whole pairs is stored as it is', async () => {
      const { id, key } = await t.tenant();
      expect(
        (await post(key, event('{"reference":"\\ud83d\\ude00 \\ufffd","x":"\\\\u0000"}'), CE)).status,
      ).toBe(200);
      const { rows } = await t.sql.query('select reference, metadata from event where tenant_id = $1', [id]);
      expect(rows).toEqual([{ reference: '😀 �', metadata: { x: '\\u0000' } }]);
    });

    it.each([
      ['a byte that is none', Buffer.from('{"reference":"a\xff"}', 'latin1')],
      [
        'a surrogate as if it were a character',
        Buffer.concat([Buffer.from('{"reference":"'), Buffer.from('eda080', 'hex'), Buffer.from('"}')]),
      ],
      ['too deep nesting', Buffer.from(`${'['.repeat(40_000)}${']'.repeat(40_000)}`)],
    ])('%s is refused', async (_case, bytes) => {
      const { id, key } = await t.tenant();
      const answer = await post(key, [event('{}'), event(bytes as unknown as string)], BATCH);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
      expect(faultsOf(answer)).toEqual([expect.stringMatching(/^1 \/data(_base64)? /)]);
      expect(await countOf(id)).toBe(0);
    });
  });

  it('binary mode: body and headers', async () => {
    const { id, key } = await t.tenant();
    const headers = (more: Record<string, string> = {}) => ({
      'content-type': 'application/json',
      ...Object.fromEntries(
        Object.entries(cloudEvent({})).map(([name, value]) => [`ce-${name}`, value as string]),
      ),
      ...more,
    });
    for (const [body, more, fault] of [
      ['{"reference":"\\ud800"}', {}, '0 /data/reference text_invalid'],
      ['{"a":"\\u0000"}', {}, '0 /data/a text_invalid'],
      ['{}', { 'ce-subject': 'a%00b' }, '0 /subject text_invalid'],
      ['{}', { 'ce-ext': 'a%00b' }, '0 /ext text_invalid'],
      [Buffer.from('{"a":"\xff"}', 'latin1'), {}, '0 /data invalid_encoding'],
    ] as const) {
      const answer = await post(key, body, headers(more));
      expect([fault, faultsOf(answer)]).toEqual([fault, [fault]]);
    }
    expect(await countOf(id)).toBe(0);
  });

  describe('bytes that are no UTF-8', () => {
    const broken = (fields: object) =>
      Buffer.from(JSON.stringify({ ...anEvent(), ...fields }).replaceAll('@', '\xff'), 'latin1');
    const list = (...events: Buffer[]) =>
      Buffer.concat([
        Buffer.from('['),
        ...events.flatMap((event, i) => (i ? [Buffer.from(','), event] : [event])),
        Buffer.from(']'),
      ]);

    it('are told with their event and their place, and the others stored where that is wanted', async () => {
      const { id, key } = await t.tenant();
      const body = list(
        Buffer.from(JSON.stringify(anEvent({ customerId: 'caf\u00e9 \ufffd' }))),
        broken({ customerId: 'a@' }),
        broken({ metadata: { deep: ['x', { y: '@@' }] } }),
        broken({ '@': 1 }),
        broken({ reference: '\\@'.slice(1) }),
      );
      const json = { 'content-type': 'application/json' };
      const answer = await post(key, body, json);
      expect(answer.body.code).toBe('invalid_encoding');
      expect(faultsOf(answer)).toEqual([
        '1 /customerId invalid_encoding',
        '2 /metadata/deep/1/y invalid_encoding',
        '3  invalid_encoding',
        '4 /reference invalid_encoding',
      ]);
      expect(await countOf(id)).toBe(0);
      expect((await post(key, body, json, '?onInvalid=skip')).body).toMatchObject({
        accepted: 1,
        rejected: 4,
      });
      const { rows } = await t.sql.query('select customer_id from event where tenant_id = $1', [id]);
      expect(rows).toEqual([{ customer_id: 'caf\u00e9 \ufffd' }]);
    });

    it('neither join what is around them nor hide behind it', async () => {
      const { id, key } = await t.tenant();
      for (const around of ['"@\\udc00"', '"\\ud83d@"', '"\\ud83d@\\ude00"', '"\\\\@"', '"@"']) {
        const body = Buffer.from(
          JSON.stringify(anEvent()).replace('"customer-1"', around).replaceAll('@', '\xff'),
          'latin1',
        );
        const answer = await post(key, body, { 'content-type': 'application/json' });
        expect([around, faultsOf(answer)]).toEqual([around, ['0 /customerId invalid_encoding']]);
      }
      const outside = Buffer.from(`${JSON.stringify(anEvent())}\xff`, 'latin1');
      expect((await post(key, outside, { 'content-type': 'application/json' })).body.code).toBe(
        'invalid_encoding',
      );
      expect(await countOf(id)).toBe(0);
    });

    it('cost only the line that they are in, gzip or not', async () => {
      const { id, key } = await t.tenant();
      const lines = () =>
        Buffer.concat([
          Buffer.from(`${JSON.stringify(anEvent())}\n`),
          broken({ customerId: '@' }),
          Buffer.from('\n\xff\xfe\n', 'latin1'),
          Buffer.from(`${JSON.stringify(anEvent())}\n`),
        ]);
      const answer = await post(key, lines(), NDJSON);
      expect([answer.status, answer.body.code]).toEqual([400, 'invalid_encoding']);
      expect(faultsOf(answer)).toEqual(['1 /customerId invalid_encoding', '2  invalid_encoding']);
      const zipped = { ...NDJSON, 'content-encoding': 'gzip' };
      const skipped = await post(key, gzipSync(lines()), zipped, '?onInvalid=skip');
      expect(skipped.body).toMatchObject({ accepted: 2, rejected: 2 });
      expect(await countOf(id)).toBe(2);
    });
  });
});

describeEngine('what only the database refuses', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
    await t.sql.query(
      `alter table event add constraint no_poison check (endpoint is distinct from '/poison')`,
    );
  });
  afterAll(() => t.stop());

  const poison = () => anEvent({ apiEndpoint: '/poison' });
  const events = (count: number, bad: number[]) =>
    Array.from({ length: count }, (_, i) => (bad.includes(i) ? poison() : anEvent()));
  const post = (key: string, body: unknown, query = '', headers: Record<string, string> = {}) =>
    t.call('POST', `/v1/events${query}`, { key, body, headers });
  const stored = async (tenantId: string): Promise<number> => {
    const { rows } = await t.sql.query(
      `select (select count(*)::int from event where tenant_id = $1) as events,
         ${IDENTITIES} as ids`,
      [tenantId],
    );
    expect(rows[0].events).toBe(rows[0].ids);
    return rows[0].events;
  };

  it.each([
    [1, 0],
    [2, 0],
    [2, 1],
    [3, 1],
    [10, 0],
    [10, 7],
    [10, 9],
    [200, 133],
  ])('of %i events the one at %i is told, and none stored', async (count, at) => {
    const { id, key } = await t.tenant();
    const answer = await post(key, events(count, [at]));
    expect(answer.body).toMatchObject({
      code: 'event_rejected_by_database',
      errors: [{ index: at, pointer: '', code: 'event_rejected_by_database' }],
    });
    expect(await stored(id)).toBe(0);
  });

  it('is told by its place in the request, whatever else is not stored', async () => {
    const { id, key } = await t.tenant();
    const known = anEvent();
    await post(key, known);
    const body = [known, anEvent(), anEvent(), poison(), known];
    body[2] = body[1]!;
    expect((await post(key, body)).body.errors).toMatchObject([{ index: 3 }]);
    expect(await stored(id)).toBe(1);
    const mixed = [anEvent({ customerId: '' }), known, poison(), anEvent()];
    const skipped = await post(key, mixed, '?onInvalid=skip');
    expect(skipped.body).toMatchObject({ accepted: 1, duplicates: 1, rejected: 2 });
    expect(skipped.body.results).toMatchObject([
      { index: 0, status: 'invalid', errors: [{ pointer: '/customerId' }] },
      { index: 1, status: 'duplicate' },
      {
        index: 2,
        status: 'invalid',
        errors: [{ index: 2, pointer: '', code: 'event_rejected_by_database' }],
      },
      { index: 3, status: 'accepted' },
    ]);
    expect(await stored(id)).toBe(2);
  });

  it('with skip costs itself alone, and a retry finds the others', async () => {
    const { id, key } = await t.tenant();
    const body = events(64, [0, 1, 31, 32, 63]);
    body[40] = body[2]!;
    const answer = await post(key, body, '?onInvalid=skip');
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ accepted: 58, duplicates: 1, rejected: 5 });
    expect(
      answer.body.results.flatMap((r: { status: string }, i: number) => (r.status === 'invalid' ? [i] : [])),
    ).toEqual([0, 1, 31, 32, 63]);
    expect(answer.body.results[40].status).toBe('duplicate');
    expect(await stored(id)).toBe(58);
    expect((await post(key, body, '?onInvalid=skip')).body).toMatchObject({
      accepted: 0,
      duplicates: 59,
      rejected: 5,
    });
    const usage = await t.call('GET', '/v1/usage?granularity=1d', { key });
    expect(usage.body.data[0].calls).toBe(58);
  });

  it('in too many events refuses the request', async () => {
    const { key } = await t.tenant();
    const bad = Array.from({ length: 150 }, (_, i) => i);
    const answer = await post(key, events(160, bad), '?onInvalid=skip');
    expect(answer.body).toMatchObject({ code: 'event_rejected_by_database' });
  });

  it('leaves the neighbours of the request alone', async () => {
    const { id, key } = await t.tenant();
    const answers = await Promise.all([
      ...Array.from({ length: 20 }, () => post(key, events(5, []))),
      post(key, events(5, [3])),
      post(key, events(5, [2]), '?onInvalid=skip'),
    ]);
    expect(answers.slice(0, 20).map(({ body }) => body)).toEqual(
      Array.from({ length: 20 }, () => ({ accepted: 5, duplicates: 0 })),
    );
    expect(answers[20]!.body.errors).toMatchObject([{ index: 3 }]);
    expect(answers[21]!.body).toMatchObject({ accepted: 4, rejected: 1 });
    expect(await stored(id)).toBe(104);
  });
});

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildProgram } from '../../support/buildProgram.ts';
import { describeEngine } from '../../support/database.ts';
import { runFolder } from '../../support/runFolder.ts';
import { runTidemark } from '../../support/runTidemark.ts';
import { type Answer, startTestService, type TestService } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

/** JSON of an event with members in raw JSON. */
const eventWith = (members: string) => `${JSON.stringify(anEvent()).slice(0, -1)},${members}}`;
const withMetadata = (members: string) =>
  JSON.stringify(anEvent()).replace('"tokens":10', `"tokens":10${members && `,${members}`}`);
const faultsOf = (answer: Answer) =>
  (answer.body.errors ?? []).map(
    ({ index, pointer, code }: { index: number; pointer: string; code: string }) =>
      `${index} ${pointer} ${code}`,
  );

const KEPT = [
  '1234567890123456789',
  '-1234567890123456789',
  '9007199254740993',
  '12345678901234567890123456789012345678901234567890',
  '0.1000000000000000000001',
  '1.0000000000000000000001',
  '3.141592653589793238462643383279',
];
/** As they are sent, and as PostgreSQL writes them. */
const WITH_EXPONENT: [string, string][] = [
  ['1e400', `1${'0'.repeat(400)}`],
  ['-2.5E+401', `-25${'0'.repeat(400)}`],
  ['1e-400', `0.${'0'.repeat(399)}1`],
  ['123456789012345678901e-3', '123456789012345678.901'],
];

describeEngine('a number that no double holds', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
  });
  afterAll(() => t.stop());

  const post = (key: string, body: string | Buffer, headers: Record<string, string> = {}, query = '') =>
    t.call('POST', `/v1/events${query}`, { key, body, headers });
  const metadataOf = async (tenantId: string): Promise<string[]> => {
    const { rows } = await t.sql.query(
      'select metadata::text as json from event where tenant_id = $1 order by ts, event_id',
      [tenantId],
    );
    return rows.map((row) => row.json);
  };
  /** The answer to GET as it was sent, not as JSON.parse has it. */
  const read = async (key: string, path: string): Promise<string> => {
    const response = await t.service.app.request(path, { headers: { authorization: `Bearer ${key}` } });
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    return response.text();
  };

  it.each(KEPT)('%s stays in metadata, and is read', async (number) => {
    const { id, key } = await t.tenant();
    const body = withMetadata(`"orderId":${number},"deep":{"list":[1,{"n":${number}}]}`);
    expect((await post(key, body)).body).toEqual({ accepted: 1, duplicates: 0 });
    expect(JSON.parse((await metadataOf(id))[0]!)).toBeDefined();
    expect((await metadataOf(id))[0]).toBe(`{"deep": {"list": [1, {"n": ${number}}]}, "orderId": ${number}}`);
    const answer = await read(key, '/v1/events');
    expect(answer).toContain(`"orderId":${number},`.replace(/,$/, ''));
    expect(answer).toContain(`{"n":${number}}`);
    expect(JSON.parse(answer).data[0].metadata.tokens).toBe(10);
  });

  it.each(WITH_EXPONENT)('%s stays too', async (number, written) => {
    const { id, key } = await t.tenant();
    expect((await post(key, withMetadata(`"n":${number}`))).status).toBe(200);
    expect(await metadataOf(id)).toEqual([`{"n": ${written}}`]);
    expect(await read(key, '/v1/events')).toContain(`"n":${written}`);
  });

  it('stays in whatever form it comes', async () => {
    const number = '1234567890123456789';
    const ce = { specversion: '1.0', id: 'a', source: '/s', type: 'x', subject: 'c' };
    const sent: [string, string | Buffer, Record<string, string>, string][] = [
      [
        'NDJSON',
        `${withMetadata('"n":1')}\n${withMetadata(`"n":${number}`)}\n`,
        { 'content-type': 'application/x-ndjson' },
        '{"n": NUMBER}',
      ],
      [
        'NDJSON without',
        `${withMetadata('"n":1e400')}\n`,
        { 'content-type': 'application/x-ndjson' },
        `{"n": 1${'0'.repeat(400)}}`,
      ],
      [
        'an extension',
        `${JSON.stringify(ce).slice(0, -1)},"ext":${number}}`,
        { 'content-type': 'application/cloudevents+json' },
        '{"ext": NUMBER}',
      ],
      [
        'data',
        `${JSON.stringify(ce).slice(0, -1)},"data":{"n":[${number}]}}`,
        { 'content-type': 'application/cloudevents+json' },
        '{"n": [NUMBER]}',
      ],
      [
        'data that are a number',
        `${JSON.stringify(ce).slice(0, -1)},"data":${number}}`,
        { 'content-type': 'application/cloudevents+json' },
        '{"data": NUMBER}',
      ],
      [
        'a batch',
        `[${JSON.stringify(ce).slice(0, -1)},"data":{"n":${number}}}]`,
        { 'content-type': 'application/cloudevents-batch+json' },
        '{"n": NUMBER}',
      ],
      [
        'data_base64',
        JSON.stringify({
          ...ce,
          datacontenttype: 'application/json',
          data_base64: Buffer.from(`{"n":${number}}`).toString('base64'),
        }),
        { 'content-type': 'application/cloudevents+json' },
        '{"n": NUMBER}',
      ],
      [
        'binary mode',
        `{"n":${number}}`,
        {
          'content-type': 'application/json',
          ...Object.fromEntries(Object.entries(ce).map(([name, value]) => [`ce-${name}`, value])),
        },
        '{"n": NUMBER}',
      ],
    ];
    for (const [form, body, headers, expected] of sent) {
      const { id, key } = await t.tenant();
      expect([form, (await post(key, body, headers)).status]).toEqual([form, 200]);
      expect([form, await metadataOf(id)]).toEqual([
        form,
        expect.arrayContaining([expected.replace('NUMBER', number)]),
      ]);
    }
  });

  it('is exact as a value, in sums and in what is sent out', async () => {
    const { id, key } = await t.tenant();
    const ndjson = [
      eventWith('"eventType":"line","value":12345678901234567890'),
      eventWith('"eventType":"line","value":0.100000000000000001'),
      eventWith('"eventType":"line","value":-12345678901234567e-16'),
    ].join('\n');
    expect((await post(key, ndjson, { 'content-type': 'application/x-ndjson' })).status).toBe(200);
    const { rows } = await t.sql.query(
      'select value::text as value from event where tenant_id = $1 order by value',
      [id],
    );
    expect(rows.map(({ value }) => value)).toEqual([
      '-1.2345678901234567',
      '0.100000000000000001',
      '12345678901234567890',
    ]);
    const usage = await t.call('GET', '/v1/usage?granularity=1d', { key });
    expect(usage.body.data[0].value).toBe('12345678901234567888.865432109876543301');
  });

  it('is exact as the value of a record and of an increment', async () => {
    const { key } = await t.tenant();
    const record = `{"recordId":"r","time":"${new Date().toISOString()}","destinationId":"d","type":"positive","value":9007199254740993.000000000000000001}`;
    expect((await t.call('POST', '/v1/records', { key, body: record })).status).toBe(200);
    const records = await t.call('GET', '/v1/records', { key });
    expect(records.body.data[0]).toMatchObject({
      totalValue: '9007199254740993.000000000000000001',
      records: [{ value: '9007199254740993.000000000000000001' }],
    });
    const add = (body: string) => t.call('POST', '/increment', { key, body });
    expect((await add('{"key":"k","value":9007199254740993}')).status).toBe(200);
    expect((await add('[{"key":"k","value":9007199254740993},{"key":"k","value":1}]')).status).toBe(200);
    expect((await t.call('GET', '/v1/counters/k', { key })).body.value).toBe('18014398509481987');
  });

  it('is exact as a threshold', async () => {
    const { key } = await t.tenant();
    const body = '{"kind":"usage","measure":"value","period":"month","threshold":12345678901234567890.5}';
    const made = await t.call('POST', '/v1/alert-rules', {
      key,
      body,
      headers: { 'content-type': 'application/json' },
    });
    expect(made.body).toMatchObject({ threshold: '12345678901234567890.5' });
    const patched = await t.call('PATCH', `/v1/alert-rules/${made.body.id}`, {
      key,
      body: '{"threshold":9007199254740993}',
      headers: { 'content-type': 'application/json' },
    });
    expect(patched.body).toMatchObject({ threshold: '9007199254740993' });
    const tooFine = await t.call('PATCH', `/v1/alert-rules/${made.body.id}`, {
      key,
      body: '{"threshold":0.1000000000000000000001}',
      headers: { 'content-type': 'application/json' },
    });
    expect(tooFine.body).toMatchObject({ status: 400, errors: [{ pointer: '/threshold' }] });
  });

  it('is refused with its place where it cannot be kept', async () => {
    const { id, key } = await t.tenant();
    const refused: [string, string][] = [
      [eventWith('"value":123456789012345678901'), '/value value_invalid'],
      [eventWith('"value":0.1000000000000000000001'), '/value value_invalid'],
      [eventWith('"value":1e-19'), '/value value_invalid'],
      [eventWith('"value":1e-400'), '/value value_invalid'],
      [withMetadata('"n":1e200000'), '/metadata/n number_out_of_range'],
      [withMetadata('"a":{"b":[0,1e-200000]}'), '/metadata/a/b/1 number_out_of_range'],
      [withMetadata('"n":1e99999999999999999999'), '/metadata/n number_out_of_range'],
      [
        withMetadata('').replace('"tokens":10', '"tokens":12345678901234567890'),
        '/metadata/tokens out_of_range',
      ],
      [
        withMetadata('').replace('"tokens":10', '"tokens":1500.0000000000000000001'),
        '/metadata/tokens type_invalid',
      ],
      [withMetadata('').replace('"tokens":10', '"tokens":9007199254740993'), '/metadata/tokens out_of_range'],
      [withMetadata('"latencyMs":1e400'), '/metadata/latencyMs type_invalid'],
      [eventWith('"reference":1234567890123456789'), '/reference type_invalid'],
      [withMetadata(`"many":[${'1e999,'.repeat(80)}0]`), '/metadata metadata_too_large'],
      [withMetadata(`"many":[${'1e300,'.repeat(300)}0]`), '/metadata metadata_too_large'],
    ];
    for (const [body, fault] of refused) {
      const answer = await post(key, `[${JSON.stringify(anEvent())},${body}]`);
      expect([fault, answer.status >= 400, [...new Set(faultsOf(answer))]]).toEqual([
        fault,
        true,
        [`1 ${fault}`],
      ]);
      const skipped = await post(key, `[${JSON.stringify(anEvent())},${body}]`, {}, '?onInvalid=skip');
      expect(skipped.body).toMatchObject({ accepted: 1, rejected: 1 });
    }
    const { rows } = await t.sql.query('select count(*)::int as n from event where tenant_id = $1', [id]);
    expect(rows[0].n).toBe(refused.length);
    const increment = await t.call('POST', '/increment', { key, body: '{"key":"k","value":1e-400}' });
    expect(faultsOf(increment)).toEqual(['0 /value value_invalid']);
  });

  it('leaves a latency what it is: a double', async () => {
    const { id, key } = await t.tenant();
    expect((await post(key, withMetadata('"latencyMs":0.10000000000000000555'))).status).toBe(200);
    const { rows } = await t.sql.query('select latency_ms from event where tenant_id = $1', [id]);
    expect(rows).toEqual([{ latency_ms: 0.1 }]);
  });
});

describeEngine('import and export', () => {
  let t: TestService;
  let folder: string;
  beforeAll(async () => {
    await buildProgram();
    t = await startTestService();
    folder = await mkdtemp(join(await runFolder(), 'numbers-'));
  });
  afterAll(async () => {
    await t.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('keep the digits of numbers that no double holds', async () => {
    const { id } = await t.tenant();
    const run = (...args: string[]) =>
      runTidemark(args, { DATABASE_URL: t.database.url, DATA_DIR: join(folder, 'data') });
    const ndjson = join(folder, 'events.ndjson');
    await writeFile(
      ndjson,
      `${withMetadata('"n":1234567890123456789,"m":1e400')}\n${eventWith('"value":12345678901234567890')}\n`,
    );
    const csv = join(folder, 'events.csv');
    await writeFile(csv, `at,tokens,v\n${new Date().toISOString()},5,0.123456789012345678\n`);
    expect(await run('import', ndjson, '--tenant', id)).toMatchObject({ code: 0 });
    const mapping = ['--map', 'timestamp=at,tokens=tokens,value=v', '--customer', 'c', '--endpoint', '/e'];
    expect(await run('import', csv, '--tenant', id, ...mapping)).toMatchObject({ code: 0 });
    const day = [Date.now() - 86_400_000, Date.now() + 86_400_000].map((ms) => new Date(ms).toISOString());
    const { out } = await run('export', 'events', '--tenant', id, '--from', day[0]!, '--to', day[1]!);
    expect(out).toContain('"n": 1234567890123456789');
    expect(out).toContain(`"m": 1${'0'.repeat(400)}`);
    expect(out).toContain('"value":"12345678901234567890"');
    expect(out).toContain('"value":"0.123456789012345678"');
  });

  it('refuse a count that is not whole, however little is missing', async () => {
    const { id } = await t.tenant();
    const csv = join(folder, 'counts.csv');
    await writeFile(csv, `at,tokens\n${new Date().toISOString()},1500.0000000000000000001\n`);
    const mapping = ['--map', 'timestamp=at,tokens=tokens', '--customer', 'c', '--endpoint', '/e'];
    const { err } = await runTidemark(['import', csv, '--tenant', id, '--max-errors', '5', ...mapping], {
      DATABASE_URL: t.database.url,
      DATA_DIR: join(folder, 'data'),
    });
    expect(err).toMatch(/\/metadata\/tokens/);
  });
});

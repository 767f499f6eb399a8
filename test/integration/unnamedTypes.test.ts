import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../support/database.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { anEvent } from '../support/traffic.ts';

const line = () => JSON.stringify(anEvent());

describeEngine('a body whose type nobody names', () => {
  let t: TestService;
  let key: string;
  beforeAll(async () => {
    t = await startTestService();
    ({ key } = await t.tenant());
  });
  afterAll(() => t.stop());

  const post = (body: string, query = '', headers: Record<string, string> = { 'content-type': '' }) =>
    t.call('POST', `/v1/events${query}`, { key, body: Buffer.from(body), headers });

  it.each(['', ' ', ';charset=utf-8'])('since Content-Type is "%s", is told by what it is', async (type) => {
    const headers = { 'content-type': type };
    expect((await post(`${line()}\n${line()}\n`, '', headers)).body).toMatchObject({ accepted: 2 });
    expect((await post(`[${line()}]`, '', headers)).body).toMatchObject({ accepted: 1 });
  });

  it('is JSON where it is the data of a CloudEvent', async () => {
    const ce = {
      'ce-specversion': '1.0',
      'ce-id': 'a',
      'ce-source': '/s',
      'ce-type': 'x',
      'ce-subject': 'c',
    };
    const answer = await post('{"value":"5"}', '', { ...ce, 'content-type': '' });
    expect(answer.body).toMatchObject({ accepted: 1 });
    expect((await t.call('GET', '/v1/events?eventType=x', { key })).body.data[0].value).toBe('5');
  });

  it.each([
    ['the first line', (good: string) => `{"eventId":\n${good}\n${line()}\n`, 0],
    [
      'the first line, and a blank one behind it',
      (good: string) => `{"eventId"\r\n\r\n${good}\r\n${line()}`,
      0,
    ],
    ['the last line', (good: string) => `${good}\n${line()}\n{"eventId"`, 2],
  ])('of which %s is broken, is one event a line still', async (_case, bodyOf, index) => {
    const refused = await post(bodyOf(line()));
    expect(refused.body).toMatchObject({ status: 422, errors: [{ index, code: 'invalid_json' }] });
    const answer = await post(bodyOf(line()), '?onInvalid=skip');
    expect(answer.body).toMatchObject({ accepted: 2, rejected: 1 });
  });

  it('is one document where it is one, however its lines look', async () => {
    const inner = `${line().slice(0, -1)},"reference":"document","metadata":\n{"a":1}\n}\n`;
    expect((await post(inner.replace(/"metadata":\{[^}]*\},/, ''))).body).toMatchObject({ accepted: 1 });
    const cut = await post(`[\n${line()},\n${line()}\n`, '?onInvalid=skip');
    expect(cut.body).toMatchObject({ status: 400, code: 'invalid_json' });
  });
});

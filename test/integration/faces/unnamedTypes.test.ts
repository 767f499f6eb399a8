import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const line = () => JSON.stringify(anEvent());

describeEngine('a body whose type nobody names', () => {
  let t: TestService;
  let key: string;
  beforeAll(async () => {
    t = await startTestService();
    ({ key } = await t.tenant());
  });
  afterAll(() => t.stop());

  const post = async (body: string, query = '') => {
    const headers = { authorization: `Bearer ${key}` };
    const answer = await t.service.app.request(`/v1/events${query}`, {
      method: 'POST',
      body: Buffer.from(body),
      headers,
    });
    return { body: await answer.json() };
  };

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

import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { type ListeningService, startListeningService } from '../../support/listening.ts';
import { open, readAnswers } from '../../support/rawHttp.ts';
import { anEvent } from '../../support/traffic.ts';

describeEngine('a client that says it sends no more', () => {
  let t: ListeningService;
  beforeAll(async () => {
    t = await startListeningService();
  });
  afterAll(() => t?.stop());

  const post = (body: string, more = '') =>
    `POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${t.key}\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`;

  /** Sends, half-closes, and listens until the server closes. */
  const converse = async (bytes: string) => {
    const socket = await open(t.server.address);
    let text = '';
    socket.on('data', (data) => {
      text += data;
    });
    socket.end(bytes);
    if (!socket.destroyed) await once(socket, 'close');
    return readAnswers(text);
  };
  const stored = async () => {
    const { rows } = await t.sql.query('select count(*)::int as n from event where tenant_id = $1', [
      t.tenantId,
    ]);
    return rows[0].n;
  };

  it('gets its answer, and then the connection is closed', async () => {
    const before = await stored();
    const [answer, ...more] = await converse(post(JSON.stringify(anEvent())));
    expect([answer?.status, answer?.body, more]).toEqual([200, '{"accepted":1,"duplicates":0}', []]);
    expect(await stored()).toBe(before + 1);
    const [read] = await converse(
      `GET /v1/events?limit=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${t.key}\r\n\r\n`,
    );
    expect(read?.status).toBe(200);
  });

  it('gets all of them, where it has sent several requests', async () => {
    const answers = await converse([1, 2, 3].map(() => post(JSON.stringify(anEvent()))).join(''));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  it('is told that its request is incomplete, which is not stored', async () => {
    const before = await stored();
    const whole = post(JSON.stringify(anEvent()));
    for (const part of [
      whole.slice(0, -5),
      whole.slice(0, 20),
      post('[').replace('Length: 1', 'Length: 2'),
    ]) {
      const [answer] = await converse(part);
      expect(answer?.status).toBe(400);
    }
    expect(await stored()).toBe(before);
  });

  it('is hung up on where it has asked for nothing', async () => {
    expect(await converse('')).toEqual([]);
    expect((await converse('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'))[0]?.status).toBe(200);
  });
});

import { createHmac } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { pruneSecrets } from '../../../src/outbound/delivery/pruneSecrets.ts';
import { describeEngine } from '../../support/database.ts';
import { FAST_DELIVERY, writeMessages } from '../../support/messages.ts';
import { type Received, Receiver } from '../../support/receiver.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';

const DAY_MS = 86_400_000;

/** Which of the secrets a receiver may hold and find the message genuine, as the standard's text has it. */
function accepted({ headers, body }: Received, secrets: string[]): boolean[] {
  const signatures = String(headers['webhook-signature']).split(' ');
  return secrets.map((secret) => {
    const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
    const content = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
    return signatures.includes(`v1,${createHmac('sha256', key).update(content).digest('base64')}`);
  });
}

describeEngine('rotating the secret of a webhook', () => {
  let t: TestService;
  let receiver: Receiver;
  let tenant: { id: string; key: string };
  let id: string;
  let secrets: string[];
  beforeAll(async () => {
    t = await startTestService(FAST_DELIVERY);
  });
  beforeEach(async () => {
    receiver = await Receiver.start();
    tenant = await t.tenant();
    const body = { url: receiver.url(), messageTypes: ['usage.threshold'] };
    const made = await t.call('POST', '/v1/subscriptions', { key: tenant.key, body });
    ({ id } = made.body);
    secrets = [made.body.secret];
  });
  afterEach(async () => {
    await t.sql.query('update subscription set active = false');
    await receiver.stop();
  });
  afterAll(() => t.stop());

  const rotation = () => t.call('POST', `/v1/subscriptions/${id}/rotate-secret`, { key: tenant.key });
  /** Rotates, and adds to `secrets`. */
  const rotate = async () => {
    const answer = await rotation();
    expect(answer.status).toBe(201);
    secrets.push(answer.body.secret);
    return answer.body;
  };
  const shown = async () => (await t.call('GET', `/v1/subscriptions/${id}`, { key: tenant.key })).body;
  /** What the next message is signed with, of `secrets`. */
  const signed = async () => {
    const before = receiver.received.length;
    await writeMessages(t.sql, tenant.id, [{}]);
    await until(() => receiver.received.length > before);
    const request = receiver.received.at(-1)!;
    const among = accepted(request, secrets);
    expect(String(request.headers['webhook-signature']).split(' ')).toHaveLength(
      among.filter(Boolean).length,
    );
    return among;
  };
  /** Lets all that was replaced so far have been replaced `ms` earlier. */
  const age = (ms: number) =>
    t.sql.query(
      `update subscription set previous_secret_until = previous_secret_until - $2 * interval '1 ms', retired_secrets = (
         select coalesce(jsonb_agg(jsonb_build_object('secret', value -> 'secret',
           'until', (value ->> 'until')::timestamptz - $2 * interval '1 ms') order by ordinality), '[]')
         from jsonb_array_elements(retired_secrets) with ordinality) where id = $1`,
      [id, ms],
    );

  it('twice, as a client that repeats a call whose answer it lost, cuts nobody off', async () => {
    await rotate();
    await rotate();
    expect(await signed()).toEqual([true, true, true]);
    const test = await t.call('POST', `/v1/subscriptions/${id}/test`, { key: tenant.key });
    expect(test.body.delivered).toBe(true);
    expect(accepted(receiver.received.at(-1)!, secrets)).toEqual([true, true, true]);
  });

  it('at the same time, five times, cuts nobody off', async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, rotation));
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201]);
    secrets.push(...answers.map(({ body }) => body.secret));
    expect(await signed()).toEqual(secrets.map(() => true));
  });

  it('has each secret sign for 24 hours from its own replacement', async () => {
    await rotate();
    await age(20 * 3_600_000);
    const body = await rotate();
    expect(body.previousSecretsUntil).toHaveLength(2);
    const [latest, first] = body.previousSecretsUntil.map((until: string) => Date.parse(until) - Date.now());
    expect(Math.abs(latest - DAY_MS)).toBeLessThan(60_000);
    expect(Math.abs(first - 4 * 3_600_000)).toBeLessThan(60_000);
    expect(body.previousSecretUntil).toBe(body.previousSecretsUntil[0]);
    expect(await shown()).toMatchObject({ previousSecretsUntil: body.previousSecretsUntil });
    expect(await signed()).toEqual([true, true, true]);
    await age(5 * 3_600_000);
    expect(await signed()).toEqual([false, true, true]);
    expect((await shown()).previousSecretsUntil).toHaveLength(1);
    await age(20 * 3_600_000);
    expect(await signed()).toEqual([false, false, true]);
    expect(await shown()).toMatchObject({ previousSecretUntil: null });
    expect(await shown()).not.toHaveProperty('previousSecretsUntil');
  });

  it('is refused while ten sign beside the present one, and changes nothing then', async () => {
    for (let n = 0; n < 10; n++) await rotate();
    const refused = await rotation();
    expect(refused.body).toMatchObject({ status: 409, code: 'secret_not_rotatable' });
    expect(refused.body.detail).toContain((await shown()).previousSecretsUntil.at(-1));
    expect(await signed()).toEqual(secrets.map(() => true));
    await age(DAY_MS);
    await rotate();
    expect(await signed()).toEqual(secrets.map((_, i) => i >= 10));
  });

  it('by an instance of the version before, during an upgrade, keeps those before as well', async () => {
    await rotate();
    secrets.push('whsec_b2xkIGluc3RhbmNl');
    await t.sql.query(
      `update subscription s set secret = $2, previous_secret = s.secret,
         previous_secret_until = now() + interval '24 hours' where id = $1`,
      [id, secrets[2]],
    );
    expect(await signed()).toEqual([true, true, true]);
  });

  it('is in the audit log without any secret, and what signs no longer is forgotten', async () => {
    await rotate();
    await rotate();
    const { body } = await t.call('GET', `/v1/audit-log?tenantId=${tenant.id}&limit=1000`);
    const entries = body.data.filter(({ action }: { action: string }) => action.endsWith('secret_rotated'));
    const counts = entries.map(
      ({ changes }: { changes: Record<string, { previousSecretsUntil: string[] }> }) => [
        changes.before!.previousSecretsUntil.length,
        changes.after!.previousSecretsUntil.length,
      ],
    );
    expect(counts).toEqual([
      [1, 2],
      [0, 1],
    ]);
    for (const secret of secrets) expect(JSON.stringify(body)).not.toContain(secret.slice(6));
    const stored = async () =>
      JSON.stringify((await t.sql.query('select * from subscription where id = $1', [id])).rows);
    const held = async () => {
      const row = await stored();
      return secrets.map((secret) => row.includes(secret));
    };
    expect(await held()).toEqual([true, true, true]);
    await pruneSecrets(t.sql);
    expect(await held()).toEqual([true, true, true]);
    await age(DAY_MS);
    await pruneSecrets(t.sql);
    expect(await held()).toEqual([false, false, true]);
    await rotate();
    await t.call('DELETE', `/v1/subscriptions/${id}`, { key: tenant.key });
    expect(await held()).toEqual([false, false, false, false]);
  });
});

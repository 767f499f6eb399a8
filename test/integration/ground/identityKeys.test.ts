import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { expect, it } from 'vitest';
import { IdentityKeys, keyText, slotOf } from '../../../src/model/identityKey.ts';
import { createTestDatabase, describeEngine } from '../../support/database.ts';

describeEngine('identity keys', () => {
  it('are the same to the service and to the functions of the database', async () => {
    const database = await createTestDatabase();
    const sql = new pg.Client(database.url);
    try {
      await sql.connect();
      const { rows: installation } = await sql.query('select identity_secret as secret from installation');
      const keys = new IdentityKeys(installation[0].secret);
      const tenants = ['acme', 'Zoë', '客户 🙂', `o'neil`, 'back\\slash', ''];
      const events = [
        '00000000-0000-0000-0000-000000000000',
        'ffffffff-ffff-ffff-ffff-ffffffffffff',
        ...Array.from({ length: 500 }, () => randomUUID()),
      ].map((eventId, i) => ({ eventId, tenantId: tenants[i % tenants.length]! }));
      const { rows } = await sql.query(
        `select key, identity_slot(key) as slot from unnest($1::uuid[], $2::text[]) with ordinality as e (id, tenant, n)
         cross join salted_identity(id, identity_salt(tenant)) as key order by n`,
        [events.map(({ eventId }) => eventId), events.map(({ tenantId }) => tenantId)],
      );
      const words = new Uint32Array(4);
      const expected = events.map((event) => {
        keys.write(event, words, 0);
        return { key: keyText(words, 0), slot: slotOf(words, 0) };
      });
      expect(rows).toEqual(expected);
    } finally {
      await sql.end();
      await database.drop();
    }
  });
});

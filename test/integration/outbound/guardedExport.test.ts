import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildProgram } from '../../support/buildProgram.ts';
import { describeEngine } from '../../support/database.ts';
import { importInto } from '../../support/importing.ts';
import { runFolder } from '../../support/runFolder.ts';
import { runTidemark } from '../../support/runTidemark.ts';
import { startTestService, type TestService } from '../../support/service.ts';

/* CSV that a spreadsheet may open says exactly what it was made of. */

const CUSTOMERS = ['=1', "'=1", "''=1", '-x', "'-x", '-1', "'-1", "'s", '+49', '@a', 'a', '＝1', "'＝1"];
const DAY = 'from=2026-11-20T00:00:00Z&to=2026-11-21T00:00:00Z';

let t: TestService;
let folder: string;
let tenant: { id: string; key: string };

describeEngine('CSV of customers that look like formulas', () => {
  beforeAll(async () => {
    await buildProgram();
    t = await startTestService({ ACCEPT_BEHIND_DAYS: '3650', IDENTITY_HORIZON_DAYS: '0' });
    folder = await mkdtemp(join(await runFolder(), 'guarded-'));
    tenant = await t.tenant();
    const body = CUSTOMERS.map((customerId, i) => ({
      eventId: crypto.randomUUID(),
      timestamp: `2026-11-20T10:00:${String(i).padStart(2, '0')}Z`,
      customerId,
      apiEndpoint: '=e',
      value: String(i),
      metadata: { model: "'=m" },
    }));
    expect((await t.call('POST', '/v1/events', { key: tenant.key, body })).status).toBe(200);
  });
  afterAll(async () => {
    await t?.stop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  /** Customers and their values, of the events that a tenant has. */
  const customers = async (tenantId: string) => {
    const { rows } = await t.sql.query(
      'select customer_id, value::text, endpoint, model from event where tenant_id = $1 order by value',
      [tenantId],
    );
    return rows.map((row) => [row.customer_id, row.value, row.endpoint, row.model]);
  };

  test('usage: one row each, which import gives back', async () => {
    const { body } = await t.call('GET', `/v1/usage?${DAY}&granularity=1d&groupBy=customer,endpoint,model`, {
      key: tenant.key,
      headers: { accept: 'text/csv' },
    });
    const cells = (body as string)
      .trimEnd()
      .split('\r\n')
      .slice(1)
      .map((line) => line.split(',')[2]!);
    expect(new Set(cells).size).toBe(CUSTOMERS.length);
    for (const cell of cells) expect(cell).not.toMatch(/^[=+@＝]|^-(?!\d)/);

    const path = join(folder, 'usage.csv');
    await writeFile(path, body);
    const options = { url: t.database.url, path, constants: {} };
    const map = 'timestamp=bucket,customerId=customerId,endpoint=endpoint,model=model,value=value';
    const { counts } = await importInto({ ...options, tenantId: `${tenant.id}-usage`, map });
    expect(counts).toMatchObject({ stored: CUSTOMERS.length, badLines: 0 });
    expect(await customers(`${tenant.id}-usage`)).toEqual(await customers(tenant.id));
  });

  test('events: exported and imported, they are the same', async () => {
    const path = join(folder, 'events.csv');
    const range = ['--tenant', tenant.id, '--from', '2026-11-20', '--to', '2026-11-21', '--out', path];
    const env = { DATABASE_URL: t.database.url, DATA_DIR: join(folder, 'data') };
    expect(await runTidemark(['export', 'events', ...range], env)).toMatchObject({ code: 0 });
    const map =
      'eventId=eventId,timestamp=timestamp,customerId=customerId,endpoint=apiEndpoint,model=model,value=value';
    const options = { url: t.database.url, path, map, constants: {} };
    const { counts } = await importInto({ ...options, tenantId: `${tenant.id}-events` });
    expect(counts).toMatchObject({ stored: CUSTOMERS.length, badLines: 0 });
    expect(await customers(`${tenant.id}-events`)).toEqual(await customers(tenant.id));
    const again = await importInto({ ...options, tenantId: tenant.id });
    expect(again.counts).toMatchObject({ stored: 0, duplicates: CUSTOMERS.length });
  });

  test('of other files, apostrophes are taken off on request', async () => {
    const path = join(folder, 'other.csv');
    await writeFile(path, "time,who,n\n2026-11-20 10:00:00,'=1,0\n2026-11-20 10:00:01,'s,1\n");
    const options = {
      url: t.database.url,
      path,
      map: 'timestamp=time,customerId=who,value=n',
      constants: { apiEndpoint: '/x' },
    };
    await importInto({ ...options, tenantId: `${tenant.id}-as-is` });
    expect((await customers(`${tenant.id}-as-is`)).map(([name]) => name)).toEqual(["'=1", "'s"]);
    await importInto({ ...options, tenantId: `${tenant.id}-guarded`, guarded: true });
    expect((await customers(`${tenant.id}-guarded`)).map(([name]) => name)).toEqual(['=1', "'s"]);
  });

  test('events whose texts have line ends within are the same too, and known', async () => {
    const { id, key } = await t.tenant();
    const texts = ['a\r\nb', 'a\nb', 'a\rb', '\r\n=1', '"\r\n"', 'a\n\r\n\r'];
    const body = texts.map((text, i) => ({
      eventId: `e ${text}`,
      timestamp: `2026-11-20T10:00:0${i}Z`,
      customerId: text,
      apiEndpoint: text,
      value: String(i),
      metadata: { model: text },
    }));
    expect((await t.call('POST', '/v1/events', { key, body })).status).toBe(200);
    const path = join(folder, 'lines.csv');
    const range = ['--tenant', id, '--from', '2026-11-20', '--to', '2026-11-21', '--out', path];
    const env = { DATABASE_URL: t.database.url, DATA_DIR: join(folder, 'data') };
    expect(await runTidemark(['export', 'events', ...range], env)).toMatchObject({ code: 0 });
    const map =
      'eventId=eventId,timestamp=timestamp,customerId=customerId,endpoint=apiEndpoint,model=model,value=value';
    const options = { url: t.database.url, path, map, constants: {} };
    expect((await importInto({ ...options, tenantId: id })).counts).toMatchObject({
      stored: 0,
      duplicates: texts.length,
    });
    await importInto({ ...options, tenantId: `${id}-lines` });
    expect(await customers(`${id}-lines`)).toEqual(texts.map((text, i) => [text, String(i), text, text]));
  });
});

import { expect, it } from 'vitest';
import { describeConsole } from './support/describeConsole.ts';
import type { Visitor } from './support/visitor.ts';

const column = (table: string[][], head: string) => {
  const at = table[0]!.indexOf(head);
  return table.slice(1).map((row) => row[at]);
};
const dialogOf = ({ page }: Visitor) => page.getByRole('dialog');
/** Waits until a table is as it is to be. */
const settles = (visitor: Visitor, label: string, check: (table: string[][]) => boolean) =>
  expect.poll(async () => check(await visitor.table(label)), { timeout: 90_000 }).toBe(true);

describeConsole('the pages of tenants, keys and the audit log', (console) => {
  it('makes a tenant, sets its limits, and takes it out of use and back', async () => {
    const { site } = console;
    const visitor = await console.visit('/console/tenants', { key: site.adminKey });
    const { page } = visitor;
    await visitor.ready('Tenants');
    const dialog = dialogOf(visitor);
    await page.getByRole('button', { name: 'New tenant' }).click();
    await visitor.isAccessible();
    await dialog.getByLabel('Id').fill('globex/eu');
    await dialog.getByLabel('Name').fill('Globex');
    await dialog.getByLabel('Events per second').fill('5000');
    await dialog.getByRole('button', { name: 'Create' }).click();
    const row = page.getByRole('row').filter({ hasText: 'globex/eu' });
    await row.getByText('active').waitFor();
    const listed = await site.call('GET', '/v1/tenants');
    const table = await visitor.table('Tenants by id');
    expect(column(table, 'Tenant')).toEqual(listed.data.map(({ id }: { id: string }) => id));
    expect(table.at(-1)!.slice(0, 5)).toEqual(['globex/eu', 'Globex', 'active', 'default', '5,000']);

    await row.getByRole('button', { name: 'Change' }).click();
    await dialog.getByLabel('Requests per second').fill('0');
    await dialog.getByLabel('Events per second').fill('');
    await dialog.getByRole('button', { name: 'Change' }).click();
    await settles(visitor, 'Tenants by id', (shown) => shown.at(-1)![3] === 'no limit');
    await row.getByRole('button', { name: 'Deactivate' }).click();
    await dialog.getByText('Its data stays').waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await row.getByRole('button', { name: 'Deactivate' }).click();
    await dialog.getByRole('button', { name: 'Deactivate' }).click();
    await row.getByText('inactive').waitFor();
    const stored =
      'select name, active, requests_per_second as r, events_per_second as e from tenant where id = $1';
    expect(await site.rows(stored, ['globex/eu'])).toEqual([
      { name: 'Globex', active: false, r: 0, e: null },
    ]);
    await row.getByRole('button', { name: 'Activate' }).click();
    await row.getByText('inactive').waitFor({ state: 'detached' });
    await visitor.isAccessible();
    await visitor.fits();

    await page.getByRole('button', { name: 'New tenant' }).click();
    await dialog.getByLabel('Id').fill('globex/eu');
    visitor.allow(/status of 409/);
    await dialog.getByRole('button', { name: 'Create' }).click();
    await dialog.getByText('already_exists').waitFor();
    expect(await dialog.getByRole('alert').innerText()).toMatch(/Request [0-9a-f-]{36}/);
  });

  it('makes a key that is shown once, rotates it and revokes it', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const visitor = await console.visit('/console/keys', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Keys');
    const dialog = dialogOf(visitor);
    await page.getByRole('button', { name: 'New key' }).click();
    await visitor.isAccessible();
    await dialog.getByLabel('correct:').check();
    await dialog.getByLabel('ingest:').uncheck();
    await dialog.getByRole('button', { name: 'Make the key' }).click();
    await dialog.getByText('it is not shown again').waitFor();
    await visitor.isAccessible();
    const made = await dialog.locator('code').innerText();
    const self = await site.call('GET', '/v1/keys/self', { key: made });
    expect([self.tenantId, self.scopes]).toEqual([tenant.id, ['read', 'correct']]);
    await dialog.getByRole('button', { name: 'I have it' }).click();
    await dialog.waitFor({ state: 'detached' });
    expect(await page.content()).not.toContain(made);

    const row = page.getByRole('row').filter({ hasText: self.id.slice(0, 8) });
    await row.getByText('valid').waitFor();
    await row.getByRole('button', { name: 'Rotate' }).click();
    await dialog.getByLabel('The old key').selectOption('3600');
    await dialog.getByRole('button', { name: 'Rotate' }).click();
    await dialog.getByText('it is not shown again').waitFor();
    const next = await site.call('GET', '/v1/keys/self', { key: await dialog.locator('code').innerText() });
    await dialog.getByRole('button', { name: 'I have it' }).click();
    await row.getByText('replaced').waitFor();

    const replaced = page.getByRole('row').filter({ hasText: next.id.slice(0, 8) });
    await replaced.getByRole('button', { name: 'Revoke' }).click();
    await dialog.getByText(next.id).waitFor();
    await dialog.getByRole('button', { name: 'Revoke' }).click();
    await replaced.getByText('revoked').waitFor();
    expect(await replaced.getByRole('button').count()).toBe(0);

    const { data } = await site.call('GET', '/v1/keys', { key: tenant.key });
    const table = await visitor.table('Keys');
    expect(table.slice(1).map(([id, scopes]) => [id!.slice(0, 8), scopes])).toEqual(
      data.map((key: { id: string; scopes: string[] }) => [key.id.slice(0, 8), key.scopes.join(', ')]),
    );
    expect(column(table, 'State')).toEqual(['valid', 'replaced', 'revoked']);
    expect(table[1]![0]).toContain('yours');
    const stored = 'select count(*)::int as n from api_key where tenant_id = $1 and revoked_at is null';
    expect(await site.rows(stored, [tenant.id])).toEqual([{ n: 2 }]);
    await visitor.isAccessible();
    await visitor.fits();
  });

  it('shows a platform key the keys of all, or of the tenant that is chosen', async () => {
    const { site } = console;
    const [one, other] = [await site.tenant(), await site.tenant()];
    const visitor = await console.visit('/console/keys', { key: site.adminKey });
    await visitor.ready('Keys');
    const all = column(await visitor.table('Keys'), 'Tenant');
    expect(all).toEqual(expect.arrayContaining([one.id, other.id]));
    await visitor.page.getByLabel(/^Tenant/).selectOption(one.id);
    await visitor.page.getByRole('heading', { name: `Keys of ${one.id}` }).waitFor();
    await visitor.ready('Keys');
    expect(column(await visitor.table('Keys'), 'Tenant')).toEqual([one.id]);
  });

  it('tells who has changed what, page by page and of one tenant', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    for (let i = 0; i < 120; i++) {
      await site.call('PATCH', `/v1/tenants/${tenant.id}`, { body: { eventsPerSecond: 1_000 + i } });
    }
    const visitor = await console.visit(`/console/audit?tenant=${tenant.id}`, { key: site.adminKey });
    const { page } = visitor;
    await visitor.ready('Audit');
    expect((await visitor.table('Changes, newest first')).length).toBe(101);
    await page.getByRole('button', { name: 'Show more' }).click();
    await page.getByText('122 shown, all there are').waitFor();
    const table = await visitor.table('Changes, newest first');
    const stored = await site.rows(
      'select action, request_id from audit_log where tenant_id = $1 order by at desc, id desc',
      [tenant.id],
    );
    expect(column(table, 'Action')).toEqual(stored.map(({ action }) => action));
    expect(column(table, 'Change').slice(0, 2)).toEqual([
      'eventsPerSecond 1118 → 1119',
      'eventsPerSecond 1117 → 1118',
    ]);
    expect(new Set(column(table, 'By').slice(0, -1))).toEqual(new Set(['ADMIN_KEY']));
    await page.getByRole('row').nth(1).getByRole('link').click();
    await page.getByText(stored[0]!.request_id).waitFor();
    await visitor.isAccessible();
    await visitor.fits();

    await page.getByRole('combobox', { name: 'Action' }).fill('key.created');
    await page.getByRole('combobox', { name: 'Action' }).press('Enter');
    await page.getByText('1 shown, all there are').waitFor();
    expect(column(await visitor.table('Changes, newest first'), 'Action')).toEqual(['key.created']);
    expect(page.url()).toContain('action=key.created');
    await page.getByRole('combobox', { name: 'Action' }).fill('key.eaten');
    await page.getByRole('combobox', { name: 'Action' }).press('Enter');
    await page.getByText('There is no such change').waitFor();

    const own = await console.visit('/console/audit', { key: tenant.key });
    await own.ready('Audit');
    const mine = await site.call('GET', '/v1/audit-log', { key: tenant.key });
    expect(column(await own.table('Changes, newest first'), 'Action')).toEqual(
      mine.data.map(({ action }: { action: string }) => action),
    );
  });

  it('makes a portal token that is shown once, and revokes it', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const body = [
      { eventId: 'one', timestamp: new Date().toISOString(), customerId: 'acme', apiEndpoint: '/v1/chat' },
    ];
    await site.call('POST', '/v1/events', { key: tenant.key, body });
    const visitor = await console.visit('/console/keys', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Keys');
    await page.getByRole('link', { name: 'Portal tokens' }).click();
    await page.getByText('There is no such token').waitFor();
    await visitor.isAccessible();
    const dialog = dialogOf(visitor);
    await page.getByRole('button', { name: 'New token' }).click();
    await visitor.isAccessible();
    await dialog.getByLabel('Customer').fill('acme');
    await dialog.getByLabel('It lives for').selectOption('86400');
    await dialog.getByRole('button', { name: 'Make the token' }).click();
    await dialog.getByText('it is not shown again').waitFor();
    const token = await dialog.locator('code').innerText();
    const usage = await site.call('GET', '/v1/portal/usage?granularity=1d', { key: token });
    expect(usage.data.reduce((sum: number, { calls }: { calls: number }) => sum + calls, 0)).toBe(1);
    await dialog.getByRole('button', { name: 'I have it' }).click();
    const [listed] = (await site.call('GET', '/v1/portal-tokens', { key: tenant.key })).data;
    await settles(visitor, 'Tokens', (table) => table.length === 2);
    const [, row] = await visitor.table('Tokens');
    expect(row!.slice(0, 5)).toEqual([listed.id.slice(0, 8), 'acme', 'all', 'usage', 'active']);
    expect(Date.parse(listed.expiresAt) - Date.parse(listed.createdAt)).toBeCloseTo(86_400_000, -4);
    await visitor.isAccessible();
    await visitor.fits();
    await page.getByRole('button', { name: 'Revoke' }).click();
    await dialog.getByRole('button', { name: 'Revoke' }).click();
    await page.getByRole('row').filter({ hasText: 'acme' }).getByText('revoked').waitFor();
    await expect(site.call('GET', '/v1/portal/usage', { key: token })).rejects.toThrow(/401/);

    // Without a tenant, and for a key that may not read, there are none.
    const platform = await console.visit('/console/keys', { key: site.adminKey });
    await platform.ready('Keys');
    expect(await platform.page.getByRole('link', { name: 'Portal tokens' }).count()).toBe(0);
  });
});

import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runFolder } from '../support/runFolder.ts';
import { describeConsole } from './support/describeConsole.ts';
import { Site } from './support/site.ts';
import type { Visitor } from './support/visitor.ts';

const pagesOf = ({ page }: Visitor) =>
  page.getByRole('navigation', { name: 'Pages' }).getByRole('link').allInnerTexts();
const TENANT_PAGES = ['Now', 'Usage', 'Meters', 'Customers', 'Events', 'Windows'];

async function signIn({ page }: Visitor, key: string): Promise<void> {
  await page.getByLabel('API key').fill(key);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

describeConsole('the shell of the console', (console) => {
  it('asks for a key, says why one does not do, and keeps it in the tab alone', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const visitor = await console.visit('/console/usage?range=1h');
    const { page } = visitor;
    await visitor.isAccessible();
    await visitor.fits();

    visitor.allow(/status of 401/);
    await signIn(visitor, 'tm_of_nobody');
    await page.getByRole('alert').getByText('This key is not valid').waitFor();
    expect(await page.getByRole('alert').innerText()).toMatch(/key_unknown[\s\S]*Request [0-9a-f-]{36}/);
    await visitor.isAccessible();

    await signIn(visitor, tenant.key);
    await visitor.ready('Usage');
    expect(page.url()).toBe(`${site.address}/console/usage?range=1h`);
    const kept = await page.evaluate(() => [
      Object.values(sessionStorage),
      Object.values(localStorage),
      document.cookie,
      document.body.innerHTML,
    ]);
    expect(kept[0]).toEqual([tenant.key]);
    expect(JSON.stringify(kept.slice(1))).not.toContain(tenant.key);

    await page.reload();
    await visitor.ready('Usage');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('API key').waitFor();
    expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
  });

  const of = async (scopes: string[], path: string) => {
    const { id } = await console.site.tenant();
    const visitor = await console.visit(path, { key: await console.site.key(id, scopes) });
    await visitor.ready(/./);
    return visitor;
  };

  it('shows what the key may do', async () => {
    expect(await pagesOf(await of(['read'], '/console/usage'))).toEqual(TENANT_PAGES);
    expect(await pagesOf(await of(['ingest'], '/console/tenants'))).toEqual(['Import']);
    expect(await pagesOf(await of(['read', 'admin'], '/console/usage'))).toEqual([
      ...TENANT_PAGES,
      'Deliveries',
      'Rules',
      'Keys',
      'Audit',
    ]);
  });

  it('does not show what the key may not do, nor what is not there', async () => {
    const refused = await of(['read'], '/console/keys');
    await refused.ready('Not with this key');
    await refused.isAccessible();
    await (await of(['read'], '/console/nowhere/at/all')).ready('No such page');
  });

  it('has a platform key choose a tenant, which stays in the address', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const visitor = await console.visit('/console/usage', { key: site.adminKey });
    const { page } = visitor;
    await visitor.ready('Usage');
    await page.getByText('Choose a tenant above').waitFor();
    await visitor.isAccessible();
    await page.getByRole('combobox', { name: 'Tenant', exact: true }).selectOption(tenant.id);
    await page.getByText('No usage in this range').waitFor();
    expect(page.url()).toContain(`tenant=${tenant.id}`);
    await page.getByText(`X-Tenant-Id: ${tenant.id}`).first().waitFor();
    expect(await pagesOf(visitor)).toEqual([
      ...TENANT_PAGES,
      'Deliveries',
      'Rules',
      'Import',
      'Tenants',
      'Keys',
      'Audit',
    ]);
    await page.getByRole('link', { name: 'Now' }).click();
    await expect.poll(() => page.url()).toContain(`/console/now?tenant=${tenant.id}`);
    await visitor.ready('Now');
  });

  it('goes back to the form when the key is revoked, and says so', async () => {
    const { site } = console;
    const { id } = await site.tenant();
    const { id: keyId, key } = await site.call('POST', '/v1/keys', {
      body: { tenantId: id, scopes: ['read'] },
    });
    const visitor = await console.visit('/console/usage', { key });
    const { page } = visitor;
    await visitor.ready('Usage');
    await site.call('DELETE', `/v1/keys/${keyId}`);
    visitor.allow(/status of 401/);
    await page.getByRole('combobox', { name: 'by', exact: true }).selectOption('model');
    await page.getByText('This key is not valid, or not any more').waitFor();
    expect(await page.evaluate(() => sessionStorage.getItem('tidemark.key'))).toBeNull();
  });

  it('keeps what is chosen in the address: back, forward and reloading find it again', async () => {
    const { site } = console;
    const { key } = await site.tenant();
    const visitor = await console.visit('/console/usage', { key, zone: 'Europe/Berlin' });
    const { page } = visitor;
    await visitor.ready('Usage');
    const zone = page.getByRole('combobox', { name: 'Zone', exact: true });
    expect(await zone.inputValue()).toBe('Europe/Berlin');
    // Browsers list it under one of its names.
    const [nepal] = await zone
      .locator('option')
      .evaluateAll((options) =>
        options
          .map((one) => (one as HTMLOptionElement).value)
          .filter((name) => /^Asia\/Kath?mandu$/.test(name)),
      );
    await zone.selectOption(nepal!);
    await page.getByRole('combobox', { name: 'Range', exact: true }).selectOption('7d');
    const chosen = `${site.address}/console/usage?zone=${encodeURIComponent(nepal!)}&range=7d`;
    expect(page.url()).toBe(chosen);
    await page.goBack();
    await expect
      .poll(() => page.getByRole('combobox', { name: 'Range', exact: true }).inputValue())
      .toBe('24h');
    await page.goForward();
    await expect
      .poll(() => page.getByRole('combobox', { name: 'Range', exact: true }).inputValue())
      .toBe('7d');
    await page.reload();
    await visitor.ready('Usage');
    expect([await zone.inputValue(), page.url()]).toEqual([nepal, chosen]);
    await page.getByRole('combobox', { name: 'Range', exact: true }).selectOption('fixed');
    const dialog = page.getByRole('dialog');
    await visitor.isAccessible();
    await dialog.getByLabel('From').fill('2026-03-01T05:45');
    await dialog.getByLabel('To').fill('2026-03-01T04:45');
    await dialog.getByRole('button', { name: 'Show' }).click();
    await dialog.getByText('must be after the start').waitFor();
    await dialog.getByLabel('To').fill('2026-03-02T05:45');
    await dialog.getByRole('button', { name: 'Show' }).click();
    await dialog.waitFor({ state: 'detached' });
    const { searchParams } = new URL(page.url());
    expect([searchParams.get('from'), searchParams.get('to'), searchParams.get('range')]).toEqual([
      '2026-03-01T00:00:00.000Z',
      '2026-03-02T00:00:00.000Z',
      null,
    ]);
  });

  it('is light or dark as the system is, or as it is told, and remembers that', async () => {
    const { site } = console;
    const { key } = await site.tenant();
    const visitor = await console.visit('/console/usage', { key, scheme: 'dark' });
    const { page } = visitor;
    await visitor.ready('Usage');
    const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await back();
    await page.getByRole('combobox', { name: 'Theme', exact: true }).selectOption('light');
    const light = await back();
    expect(light).not.toBe(dark);
    await page.reload();
    await visitor.ready('Usage');
    expect(await back()).toBe(light);
    await page.getByRole('combobox', { name: 'Theme', exact: true }).selectOption('auto');
    expect(await back()).toBe(dark);
  });

  it('can be used with keys alone, and at 380 px', async () => {
    const { site } = console;
    const { key } = await site.tenant();
    const visitor = await console.visit('/console/usage', { key, width: 380 });
    const { page } = visitor;
    await visitor.ready('Usage');
    await visitor.fits();
    await page.keyboard.press('Tab');
    expect(await page.evaluate(() => document.activeElement!.textContent)).toBe('Skip to the content');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    const menu = page.getByRole('button', { name: 'Menu' });
    expect(await menu.evaluate((shown) => shown === document.activeElement)).toBe(true);
    expect([await menu.getAttribute('aria-expanded'), await pagesOf(visitor)]).toEqual(['false', []]);
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'Usage' }).waitFor();
    await visitor.isAccessible();
    await page.getByRole('link', { name: 'Now' }).focus();
    await page.keyboard.press('Enter');
    await visitor.ready('Now');
    await expect.poll(() => menu.getAttribute('aria-expanded')).toBe('false');
  });

  it('says that the service cannot be reached, and goes on once it can', async () => {
    const { site } = console;
    const { key } = await site.tenant();
    const visitor = await console.visit('/console/usage');
    const { page } = visitor;
    await page.getByLabel('API key').waitFor();
    visitor.allow(/ERR_CONNECTION/);
    await site.stop();
    await signIn(visitor, key);
    await page.getByText('The service cannot be reached').waitFor();
    await site.start();
    await page.getByRole('button', { name: 'Sign in' }).click();
    await visitor.ready('Usage');
  });

  it('takes the link that a start prints, once, and leaves no code behind', async () => {
    const folder = await mkdtemp(join(await runFolder(), 'console-'));
    const site = await Site.open({ TIDEMARK_PROFILE: 'dev', DATA_DIR: folder });
    try {
      const [, path] = /Console +http:\/\/[^/]+(\/console\?code=\S+)/.exec(site.said())!;
      const visitor = await console.visit(path!, { of: site });
      const { page } = visitor;
      await visitor.ready(/./);
      expect(page.url()).not.toContain('code');
      expect(await page.evaluate(() => history.length)).toBeLessThanOrEqual(2);
      await page.getByText('demo', { exact: true }).waitFor();

      const second = await console.visit(path!, { of: site });
      second.allow(/status of 4\d\d/);
      await second.page.getByRole('alert').getByText('This link is good no more').waitFor();
      await second.page.getByLabel('API key').waitFor();
      expect(second.page.url()).toBe(`${site.address}/console`);

      // An old link in a tab that has a key takes nothing away.
      const { key } = await site.tenant();
      const third = await console.visit('/console/usage?code=of-another-start', { of: site, key });
      third.allow(/status of 401/);
      await third.ready('Usage');
      expect(await third.page.evaluate(() => sessionStorage.getItem('tidemark.key'))).toBe(key);
      for (const one of [visitor, second, third]) await one.close();
    } finally {
      await site.close();
      await rm(folder, { recursive: true });
    }
  });
});

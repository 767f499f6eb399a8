import { expect, it } from 'vitest';
import { describeConsole } from './support/describeConsole.ts';
import { postTraffic } from './support/traffic.ts';
import type { Visitor } from './support/visitor.ts';

/** What has the keyboard: its role or tag, and what it says. */
const focused = ({ page }: Visitor) =>
  page.evaluate(() => {
    const { activeElement: has } = document;
    return [has?.tagName, has?.getAttribute('aria-label') ?? has?.textContent?.trim().slice(0, 40)];
  });

describeConsole('the console with keys alone', (console) => {
  it('is where one came to, and back at the link one had followed', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    await postTraffic(site, tenant, { minutes: 5, customers: 2 });
    const visitor = await console.visit('/console/customers', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Customers');
    await page.getByRole('link', { name: 'customer-2', exact: true }).focus();
    await page.keyboard.press('Enter');
    await visitor.ready('customer-2');
    await expect.poll(() => focused(visitor)).toEqual(['H1', 'customer-2']);
    // Parts of a page leave it where it is.
    await page.getByRole('link', { name: 'Meters', exact: true }).last().focus();
    await page.keyboard.press('Enter');
    await page.getByText('There is no meter yet').waitFor();
    expect((await focused(visitor))[1]).toBe('Meters');

    await page.goto(`${site.address}/console/events?paused=1`);
    await visitor.ready('Events');
    const event = page.locator('tbody a').nth(3);
    const name = await event.innerText();
    await event.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'What meters make of it' }).waitFor();
    expect(await focused(visitor)).toEqual(['SECTION', `Event ${name}`]);
    await page.getByRole('link', { name: 'Close' }).focus();
    await page.keyboard.press('Enter');
    await expect.poll(() => focused(visitor)).toEqual(['A', name]);
  });

  it('goes back from a dialog to what opened it, and on to the list where that is gone', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    await site.key(tenant.id, ['read']);
    const visitor = await console.visit('/console/keys', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Keys');
    const row = page.getByRole('row').filter({ hasNotText: 'yours' }).last();
    const revoke = row.getByRole('button', { name: 'Revoke' });
    await revoke.focus();
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.waitFor();
    // What is within reach is in the dialog, and seen.
    for (let i = 0; i < 6; i++) {
      const outline = await page.evaluate(() => {
        const has = document.activeElement!;
        const inside = has === document.body || has.closest('dialog') !== null;
        return inside && (has.tagName === 'BODY' || getComputedStyle(has).outlineStyle !== 'none');
      });
      expect([i, outline]).toEqual([i, true]);
      await page.keyboard.press('Tab');
    }
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    expect(await focused(visitor)).toEqual(['BUTTON', 'Revoke']);
    await page.keyboard.press('Enter');
    await dialog.getByRole('button', { name: 'Revoke' }).focus();
    await page.keyboard.press('Enter');
    await row.getByText('revoked').waitFor();
    expect(await focused(visitor)).toEqual(['SECTION', 'Keys']);
  });

  it('keeps the keyboard on what it has pressed, and a refusal can be closed', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const body = { name: 'many', kind: 'usage', measure: 'calls', period: 'day', threshold: '5' };
    const { id } = await site.call('POST', '/v1/alert-rules', { key: tenant.key, body });
    const visitor = await console.visit(`/console/rules/${id}`, { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('many');
    await page.getByRole('button', { name: 'Pause' }).focus();
    await page.keyboard.press('Enter');
    await page.getByText('paused', { exact: true }).waitFor();
    await expect.poll(() => focused(visitor)).toEqual(['BUTTON', 'Resume']);
    await site.call('DELETE', `/v1/alert-rules/${id}`, { key: tenant.key });
    visitor.allow(/status of 404/);
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog', { name: 'This did not work' });
    await dialog.getByText('not_found').waitFor();
    await visitor.isAccessible();
    await dialog.getByRole('button', { name: 'Close' }).click();
    await dialog.waitFor({ state: 'detached' });
    expect(await focused(visitor)).toEqual(['BUTTON', 'Resume']);
  });

  it('what has the focus is not below the bar, nor below the head of a table', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    await postTraffic(site, tenant, { minutes: 120 });
    const visitor = await console.visit('/console/windows?range=6h', { key: tenant.key, height: 500 });
    const { page } = visitor;
    await visitor.ready('Windows');
    await page.getByRole('button', { name: 'Show more' }).focus();
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Shift+Tab');
      const hidden = await page.evaluate(() => {
        const has = document.activeElement!;
        const { left, top, width, height } = has.getBoundingClientRect();
        const above = document.elementFromPoint(left + width / 2, top + Math.min(height / 2, 10));
        return has.closest('table') !== null && above !== has && !has.contains(above)
          ? above?.outerHTML
          : null;
      });
      expect([i, hidden]).toEqual([i, null]);
    }
  });

  it('goes on with a list, which stands still then, and has all of its pages when one of it is changed', async () => {
    const { site } = console;
    const before = (await site.call('GET', '/v1/tenants?limit=1000')).data.length;
    for (let i = before; i < 150; i++) {
      await site.call('POST', '/v1/tenants', { body: { id: `z-${String(i).padStart(3, '0')}`, name: 'Z' } });
    }
    const visitor = await console.visit('/console/tenants', { key: site.adminKey });
    const { page } = visitor;
    await page.clock.install();
    await page.reload();
    await visitor.ready('Tenants');
    await page.getByText('100 shown').waitFor();
    await page.getByRole('button', { name: 'Show more' }).focus();
    await page.keyboard.press('Enter');
    await page.getByText('150 shown, all there are').waitFor();
    expect(await focused(visitor)).toEqual(['SECTION', 'Tenants by id']);
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    await page.clock.fastForward(120_000);
    expect([await page.getByText('150 shown').count(), asked]).toEqual([1, []]);
    const row = page.getByRole('row').filter({ hasText: 'z-149' });
    await row.getByRole('button', { name: 'Deactivate' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Deactivate' }).click();
    await row.getByText('inactive').waitFor();
    await page.getByText('150 shown, all there are').waitFor();
  });
});

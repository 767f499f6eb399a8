import { expect, it } from 'vitest';
import { describeConsole } from './support/describeConsole.ts';
import type { Visitor } from './support/visitor.ts';

const number = async (visitor: Visitor, name: string) =>
  Number((await visitor.stat(name)).replaceAll(',', ''));
const event = (i: number) => ({
  eventId: `event-${i}`,
  timestamp: new Date().toISOString(),
  customerId: 'customer-1',
  apiEndpoint: '/v1/chat',
});
const WAIT = { timeout: 90_000, interval: 100 };

describeConsole('the page of what is so now', (console) => {
  it('moves with what comes in, and has the numbers of the API and of the database', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const visitor = await console.visit('/console/now', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Now');
    await page.getByText('live', { exact: true }).waitFor();
    await page.getByText('Nothing has come in here yet').waitFor();
    await visitor.isAccessible();

    await site.call('POST', '/v1/events', { key: tenant.key, body: [event(1), event(2), event(3)] });
    await expect.poll(() => number(visitor, 'Accepted'), WAIT).toBe(3);
    await site.call('POST', '/v1/events?onInvalid=skip', {
      key: tenant.key,
      body: [event(3), event(4), { eventId: 'x' }],
    });
    await expect.poll(() => number(visitor, 'Accepted'), WAIT).toBe(4);
    await expect.poll(() => number(visitor, 'Duplicates'), WAIT).toBe(1);
    await expect.poll(() => number(visitor, 'Rejected'), WAIT).toBe(1);
    expect(await page.getByText('Nothing has come in here yet').count()).toBe(0);

    const overview = await site.call('GET', '/v1/live/overview', { key: tenant.key });
    expect(overview.instance).toMatchObject({ accepted: 4, duplicates: 1, rejected: 1 });
    expect(await page.getByText(overview.instance.id).count()).toBe(1);
    const [stored] = await site.rows('select count(*)::int as n from event where tenant_id = $1', [
      tenant.id,
    ]);
    expect(stored.n).toBe(4);

    const [{ until }] = await site.rows('select closed_until as until from window_state');
    const closed = Date.parse(`${until.toISOString().slice(0, 10)}T${await visitor.stat('Closed through')}Z`);
    expect(Math.abs(closed - until.getTime())).toBeLessThanOrEqual(60_000); // it goes on meanwhile
    for (const name of ['Late windows', 'Messages waiting', 'Webhook backlog', 'Dead letters'])
      expect([name, await visitor.stat(name)]).toEqual([name, '0']);
    await visitor.isAccessible();
    await visitor.fits();
  });

  it('goes on by itself after the service has been restarted, with the sums of the new one', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    await site.call('POST', '/v1/events', { key: tenant.key, body: [event(1)] });
    const visitor = await console.visit('/console/now', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Now');
    await page.getByText('live', { exact: true }).waitFor();
    const { instance: before } = await site.call('GET', '/v1/live/overview', { key: tenant.key });
    await page.getByText(before.id).waitFor();

    visitor.allow(/ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|status of 503/);
    await site.stop();
    await page.getByText('connecting again …').waitFor();
    await site.start();
    await page.getByText('live', { exact: true }).waitFor();
    const { instance: after } = await site.call('GET', '/v1/live/overview', { key: tenant.key });
    expect(after.id).not.toBe(before.id);
    await page.getByText(after.id).waitFor();
    await expect.poll(() => page.getByRole('alert').count(), WAIT).toBe(0);
    await site.call('POST', '/v1/events', { key: tenant.key, body: [event(1), event(2)] });
    await expect.poll(() => number(visitor, 'Duplicates'), WAIT).toBe(1);
    const { instance: now } = await site.call('GET', '/v1/live/overview', { key: tenant.key });
    expect(await number(visitor, 'Accepted')).toBe(now.accepted);
  });

  it('asks where it may not listen, and listens once it may', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const visitor = await console.visit('/console/usage', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Usage');
    visitor.allow(/status of 503/);
    const busy = {
      type: 'about:blank',
      title: 'Busy',
      status: 503,
      code: 'overloaded',
      detail: 'too many streams',
    };
    await page.route('**/v1/live/stream', (route) => route.fulfill({ status: 503, json: busy }));
    await page.getByRole('link', { name: 'Now' }).click();
    await page.getByText('asked every 5 s').waitFor();
    await site.call('POST', '/v1/events', { key: tenant.key, body: [event(7)] });
    await expect.poll(() => number(visitor, 'Accepted'), WAIT).toBe(1);
    await page.unroute('**/v1/live/stream');
    await page.getByText('live', { exact: true }).waitFor();
  });

  it('shows a platform key all tenants together, or one', async () => {
    const { site } = console;
    const [first, second] = [await site.tenant(), await site.tenant()];
    const visitor = await console.visit('/console/now', { key: site.adminKey });
    const { page } = visitor;
    await visitor.ready('Now');
    await page.getByText('All tenants together').waitFor();
    const { instance } = await site.call('GET', '/v1/live/overview');
    for (const { key } of [first, second]) await site.call('POST', '/v1/events', { key, body: [event(1)] });
    await expect.poll(() => number(visitor, 'Accepted'), WAIT).toBe(instance.accepted + 2);
    await page.getByRole('combobox', { name: 'Tenant', exact: true }).selectOption(first.id);
    await page.getByText(`Tenant ${first.id}`).waitFor();
    await visitor.ready('Now');
    await expect.poll(() => number(visitor, 'Accepted'), WAIT).toBeLessThanOrEqual(1);
  });
});

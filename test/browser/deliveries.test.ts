import { afterAll, beforeAll, expect, it } from 'vitest';
import { Receiver } from '../support/receiver.ts';
import { describeConsole } from './support/describeConsole.ts';
import { postTraffic } from './support/traffic.ts';

describeConsole(
  'the page of deliveries',
  (console) => {
    let receiver: Receiver;
    beforeAll(async () => {
      receiver = await Receiver.start();
    });
    afterAll(() => receiver.stop());

    it('subscribes, tests, pauses, rotates and deletes', async () => {
      const { site } = console;
      const tenant = await site.tenant();
      const visitor = await console.visit('/console/deliveries', { key: tenant.key });
      const { page } = visitor;
      await visitor.ready('Deliveries');
      await page.getByText('Nobody is told of anything yet').waitFor();
      await visitor.isAccessible();
      const dialog = page.getByRole('dialog');
      await page.getByRole('button', { name: 'New subscription' }).click();
      await visitor.isAccessible();
      await dialog.getByLabel('Webhook URL').fill(receiver.url('/hook'));
      await dialog.getByLabel('window.revised').check();
      await dialog.getByLabel('Customers').fill('customer-1\ncustomer-2');
      await dialog.getByRole('button', { name: 'Subscribe' }).click();
      await dialog.getByText('it is not shown again').waitFor();
      const secret = await dialog.locator('code').innerText();
      expect(secret).toMatch(/^whsec_/);
      await dialog.getByRole('button', { name: 'I have it' }).click();

      const { data } = await site.call('GET', '/v1/subscriptions', { key: tenant.key });
      expect(data).toMatchObject([
        {
          url: receiver.url('/hook'),
          messageTypes: ['window.closed', 'window.revised'],
          customers: ['customer-1', 'customer-2'],
          digest: false,
        },
      ]);
      await page.getByRole('link', { name: receiver.url('/hook') }).click();
      await visitor.ready(receiver.url('/hook'));
      await page.getByText('Nothing has been sent yet').waitFor();
      await page.getByRole('button', { name: 'Send a test' }).click();
      await dialog.getByText('The test was delivered').waitFor();
      const [sent] = receiver.at('/hook');
      await dialog.getByText(String(sent!.headers['webhook-id'])).waitFor();
      await visitor.isAccessible();
      await dialog.getByRole('button', { name: 'Close' }).click();

      await page.getByRole('button', { name: 'Change' }).click();
      await dialog.getByLabel('Description').fill('for the bill');
      await dialog.getByLabel('Customers').fill('');
      await dialog.getByRole('button', { name: 'Change' }).click();
      await page.getByText('for the bill').waitFor();
      await page.getByRole('button', { name: 'Rotate secret' }).click();
      await dialog.getByText('signs beside it for 24 hours').waitFor();
      await dialog.getByRole('button', { name: 'Rotate secret' }).click();
      await dialog.getByText('it is not shown again').waitFor();
      expect(await dialog.locator('code').innerText()).not.toBe(secret);
      await dialog.getByRole('button', { name: 'I have it' }).click();
      await page.getByText('the one before signs too').waitFor();
      await page.getByRole('button', { name: 'Pause' }).click();
      await dialog.getByRole('button', { name: 'Pause' }).click();
      await page.getByText('by request').waitFor();
      await page.getByRole('button', { name: 'Activate' }).click();
      await page.getByRole('button', { name: 'Pause' }).waitFor();
      const stored =
        'select active, customers, description from subscription where tenant_id = $1 and deleted_at is null';
      expect(await site.rows(stored, [tenant.id])).toEqual([
        { active: true, customers: null, description: 'for the bill' },
      ]);
      await page.getByRole('button', { name: 'Delete' }).click();
      await dialog.getByRole('button', { name: 'Delete' }).click();
      await visitor.ready('Deliveries');
      await page.getByText('Nobody is told of anything yet').waitFor();
      expect(await site.rows(stored, [tenant.id])).toEqual([]);
    });

    it('lists what was delivered and what is dead, shows each attempt, and sends again', async () => {
      const { site } = console;
      const tenant = await site.tenant();
      const body = { url: receiver.url('/late'), messageTypes: ['window.closed', 'window.revised'] };
      receiver.answer = ({ path }, response) => {
        if (path !== '/late') return 204;
        response.writeHead(500).end('not now');
        return undefined;
      };
      const { id } = await site.call('POST', '/v1/subscriptions', { key: tenant.key, body });
      await postTraffic(site, tenant, { minutes: 2, perMinute: 4, customers: 2, end: Date.now() - 120_000 });
      const count = (state: string) =>
        site
          .rows('select count(*)::int as n from delivery where subscription_id = $1 and state = $2', [
            id,
            state,
          ])
          .then(([row]) => row.n as number);
      await expect.poll(() => count('pending'), { timeout: 90_000 }).toBeGreaterThan(2);
      await expect.poll(() => receiver.at('/late').length, { timeout: 90_000 }).toBeGreaterThan(0);

      const visitor = await console.visit(`/console/deliveries/${id}`, {
        key: tenant.key,
        zone: 'Asia/Kathmandu',
      });
      const { page } = visitor;
      await visitor.ready(body.url);
      const listed = async (state?: string) =>
        (
          await site.call('GET', `/v1/subscriptions/${id}/deliveries?${state ? `state=${state}` : ''}`, {
            key: tenant.key,
          })
        ).data;
      expect((await visitor.table('Deliveries, newest first')).length - 1).toBe((await listed()).length);
      await page.getByText('answered 500').first().waitFor();

      // As after the last of ten attempts, without three days of them.
      await site.rows(`update delivery set state = 'dead', settled_at = now() where subscription_id = $1`, [
        id,
      ]);
      const dead = await count('dead');
      await page.getByLabel(/^State/).selectOption('dead');
      await expect
        .poll(async () => (await visitor.table('Deliveries, newest first')).slice(1).map((row) => row[3]), {
          timeout: 90_000,
        })
        .toEqual(Array(dead).fill('dead letter'));
      expect((await listed('dead')).length).toBe(dead);
      const attempted = (await listed('dead')).find(({ attempts }: { attempts: number }) => attempts > 0);
      await page.locator(`a[href*="${attempted.id}"]`).click();
      await page.getByRole('heading', { name: 'Delivery', exact: true }).waitFor();
      const attempts = await visitor.table('Attempts');
      expect(attempts[1]).toEqual(expect.arrayContaining(['500', 'not now']));
      const details = await site.call('GET', `/v1/subscriptions/${id}/deliveries/${attempted.id}`, {
        key: tenant.key,
      });
      expect(await page.getByRole('region', { name: 'The message' }).innerText()).toBe(details.message);
      await visitor.isAccessible();
      await visitor.fits();

      receiver.answer = () => 204;
      const dialog = page.getByRole('dialog');
      await page.getByRole('button', { name: 'Redeliver', exact: true }).click();
      await dialog.getByRole('button', { name: 'Redeliver' }).click();
      await expect.poll(() => count('delivered'), { timeout: 90_000 }).toBe(1);
      await page.getByRole('button', { name: 'Redeliver all' }).click();
      await visitor.isAccessible();
      await dialog.getByRole('button', { name: 'Redeliver all' }).click();
      await page.getByText('pending again').waitFor();
      await expect.poll(() => count('delivered'), { timeout: 90_000 }).toBe(dead);
      await page.getByLabel(/^State/).selectOption('delivered');
      await expect
        .poll(async () => (await visitor.table('Deliveries, newest first')).slice(1).map((row) => row[3]), {
          timeout: 90_000,
        })
        .toEqual(Array(dead).fill('delivered'));
      const ids = new Set(receiver.at('/late').map(({ headers }) => headers['webhook-id']));
      expect(ids.size).toBe(dead);
    });
  },
  { WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8' },
);

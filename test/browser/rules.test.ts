import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { describeConsole } from './support/describeConsole.ts';
import type { Tenant } from './support/site.ts';
import type { Visitor } from './support/visitor.ts';

describeConsole(
  'alert rules in the console',
  (console) => {
    const use = (tenant: Tenant, uses: Record<string, number>, more: object = {}) =>
      console.site.call('POST', '/v1/events', {
        key: tenant.key,
        body: Object.entries(uses).map(([customerId, tokens]) => ({
          eventId: crypto.randomUUID(),
          timestamp: new Date().toISOString(),
          customerId,
          apiEndpoint: '/x',
          metadata: { tokens, model: 'm', inputTokens: tokens, outputTokens: 0 },
          ...more,
        })),
      });
    const make = (tenant: Tenant, rule: object = {}) =>
      console.site.call('POST', '/v1/alert-rules', {
        key: tenant.key,
        body: {
          name: 'Quota',
          kind: 'usage',
          measure: 'tokens',
          period: 'month',
          threshold: '1000',
          ...rule,
        },
      });
    const button = ({ page }: Visitor, name: string) => page.getByRole('button', { name, exact: true });
    const rows = (table: string[][]) => table.slice(1);

    it('shows who is near a threshold, and above, as the API and the database have it', async () => {
      const { site } = console;
      const tenant = await site.tenant();
      await use(tenant, { over: 1_001, even: 1_000, nearly: 800, not: 799, little: 1 });
      const rule = await make(tenant);
      await make(tenant, { name: 'Nobody', threshold: '99999999999999999999.5' });
      await site.call('PATCH', '/v1/customers/nearly', { key: tenant.key, body: { name: 'Nearly Ltd' } });
      const visitor = await console.visit('/console/rules', { key: tenant.key });
      const { page } = visitor;
      await visitor.ready('Rules');
      await page.getByText('Nobody subscribes to usage.threshold').waitFor();
      expect(rows(await visitor.table('Customers near a threshold'))).toEqual([
        ['over', 'Quota', '1,001', '1,000', '100 %', 'above'],
        ['even', 'Quota', '1,000', '1,000', '100 %', 'near'],
        ['Nearly Ltd nearly', 'Quota', '800', '1,000', '80 %', 'near'],
      ]);
      expect(rows(await visitor.table('All rules')).map((cells) => cells.slice(0, 4))).toEqual([
        ['Quota', 'tokens of a customer per month', '1,000', '1 of 5'],
        ['Nobody', 'tokens of a customer per month', '99,999,999,999,999,999,999.5', '0 of 5'],
      ]);
      await visitor.isAccessible();
      await visitor.fits();

      await page.getByRole('link', { name: 'Quota' }).first().click();
      await visitor.ready('Quota');
      expect([await visitor.stat('Above'), await visitor.stat('Near')]).toEqual(['1', '2']);
      const shown = rows(await visitor.table('Customers and the threshold')).map(([name, has]) => [
        name,
        has!.replace(',', ''),
      ]);
      const { data } = await site.call('GET', `/v1/alert-rules/${rule.id}/customers`, { key: tenant.key });
      expect(shown).toEqual(
        data.map(({ customerId, name, value }: Record<string, string | null>) => [
          name === null ? customerId : `${name} ${customerId}`,
          value,
        ]),
      );
      const stored = await site.rows(
        'select customer_id, sum(tokens)::text as tokens from event where tenant_id = $1 group by 1 order by sum(tokens) desc',
        [tenant.id],
      );
      expect(shown.map(([name, has]) => [name!.split(' ').at(-1), has])).toEqual(
        stored.map(({ customer_id, tokens }) => [customer_id, tokens]),
      );
      await visitor.isAccessible();
      await visitor.fits();
      await button(visitor, 'The month before').click();
      await page.getByText('No customer has anything in this month').waitFor();
      await button(visitor, 'The month of now').click();
      await visitor.table('Customers and the threshold');
    });

    it('says who has been told of', async () => {
      const { site } = console;
      const tenant = await site.tenant();
      const receiver = createServer((_, answer) => void answer.end()).listen(0, '127.0.0.1');
      onTestFinished(() => void receiver.close());
      await once(receiver, 'listening');
      const { port } = receiver.address() as AddressInfo;
      const subscription = { url: `http://127.0.0.1:${port}/told`, messageTypes: ['usage.threshold'] };
      await site.call('POST', '/v1/subscriptions', { key: tenant.key, body: subscription });
      const { id } = await make(tenant);
      await use(tenant, { loud: 2_000, quiet: 900 });
      const visitor = await console.visit(`/console/rules/${id}`, { key: tenant.key });
      await visitor.ready('Quota');
      expect(rows(await visitor.table('Customers and the threshold'))).toEqual([
        ['loud', '2,000', '200 %', 'abovetold'],
        ['quiet', '900', '90 %', 'near'],
      ]);
    });

    it('are made of usage, meters and costs, and of single events', async () => {
      const { site } = console;
      const tenant = await site.tenant();
      const meter = { slug: 'gb', name: 'Gigabytes', eventType: 'egress', aggregation: 'sum', value: '$.gb' };
      await site.call('POST', '/v1/meters', { key: tenant.key, body: meter });
      await site.call('POST', '/v1/meters', {
        key: tenant.key,
        body: { ...meter, slug: 'mean', name: 'Mean', aggregation: 'avg' },
      });
      const visitor = await console.visit('/console/rules', { key: tenant.key });
      const { page } = visitor;
      await visitor.ready('Rules');
      await page.getByText('There is no rule yet.').waitFor();
      await button(visitor, 'Make a rule').click();
      const dialog = page.getByRole('dialog', { name: 'Make a rule' });
      await visitor.isAccessible();
      await visitor.fits();
      const compare = dialog.getByRole('combobox', { name: 'Compare', exact: true });
      await compare.locator('option', { hasText: 'Gigabytes' }).waitFor({ state: 'attached' });
      expect(await compare.locator('option').allInnerTexts()).toEqual([
        'tokens',
        'calls',
        'value',
        'cost',
        'Gigabytes',
      ]);
      await compare.selectOption('Gigabytes');
      await dialog.getByRole('combobox', { name: 'In each' }).selectOption('day');
      await dialog.getByLabel('Threshold').fill('0.000000000000000001');
      await dialog.getByLabel('Name').fill('Any egress');
      await dialog.getByLabel('Only these customers').fill('acme\nzeta');
      await dialog.getByLabel('Threshold').press('Enter');
      await visitor.ready('Any egress');

      const dialogOf = async (kind: string) => {
        await page.goto(`${site.address}/console/rules`);
        await visitor.ready('Rules');
        await button(visitor, 'Make a rule').click();
        await dialog.getByRole('combobox', { name: 'Tell of' }).selectOption(kind);
      };
      await dialogOf('usage');
      await compare.selectOption('cost');
      await dialog.getByLabel('Currency').fill('eur');
      await dialog.getByLabel('Threshold').fill('12.50');
      await button(visitor, 'Make the rule').click();
      await visitor.ready('cost in EUR of a customer per month');

      await dialogOf('event');
      await compare.locator('option', { hasText: 'Mean' }).waitFor({ state: 'attached' });
      await compare.selectOption('latency in ms');
      await dialog.getByLabel('Threshold').fill('5000');
      await dialog.getByLabel('Only events of type').fill('egress');
      await button(visitor, 'Make the rule').click();
      await visitor.ready('latencyMs of each event');
      await visitor.isAccessible();

      const { data } = await site.call('GET', '/v1/alert-rules', { key: tenant.key });
      expect(data).toMatchObject([
        {
          kind: 'usage',
          meter: 'gb',
          period: 'day',
          threshold: '0.000000000000000001',
          name: 'Any egress',
          customers: ['acme', 'zeta'],
        },
        {
          kind: 'usage',
          measure: 'cost',
          currency: 'EUR',
          period: 'month',
          threshold: '12.5',
          customers: null,
        },
        { kind: 'event', field: 'latencyMs', threshold: '5000', eventType: 'egress' },
      ]);
    });

    it('are paused, changed, and deleted once it has been asked', async () => {
      const { site } = console;
      const tenant = await site.tenant();
      const { id } = await make(tenant);
      const now = () => site.call('GET', `/v1/alert-rules/${id}`, { key: tenant.key });
      const visitor = await console.visit(`/console/rules/${id}`, { key: tenant.key });
      const { page } = visitor;
      await visitor.ready('Quota');
      await button(visitor, 'Pause').click();
      await button(visitor, 'Resume').waitFor();
      expect(await now()).toMatchObject({ active: false });
      await button(visitor, 'Resume').click();
      await button(visitor, 'Pause').waitFor();

      visitor.allow(/status of 400/);
      await button(visitor, 'Change').click();
      const dialog = page.getByRole('dialog', { name: 'Change the rule' });
      await dialog.getByLabel('Threshold').fill('much');
      await button(visitor, 'Save').click();
      await dialog.getByRole('alert').getByText('/threshold').waitFor();
      await visitor.isAccessible();
      await dialog.getByLabel('Threshold').fill('2000.5');
      await button(visitor, 'Save').click();
      await page.getByText('above 2,000.5').waitFor();
      expect(await now()).toMatchObject({ active: true, threshold: '2000.5', name: 'Quota' });

      await button(visitor, 'Delete').click();
      await page.getByRole('dialog', { name: 'Delete this rule?' }).waitFor();
      await button(visitor, 'Cancel').click();
      expect(await now()).toMatchObject({ id });
      await button(visitor, 'Delete').click();
      await button(visitor, 'Delete it').click();
      await visitor.ready('Rules');
      await page.getByText('There is no rule yet.').waitFor();
      expect(await site.rows('select id from alert_rule where tenant_id = $1', [tenant.id])).toEqual([]);
    });
  },
  { WEBHOOK_ALLOWED_NETWORKS: '127.0.0.1/32' },
);

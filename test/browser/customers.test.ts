import { expect, it } from 'vitest';
import { decimalSum } from '../support/bruteForce.ts';
import { describeConsole } from './support/describeConsole.ts';
import { postTraffic } from './support/traffic.ts';
import type { Visitor } from './support/visitor.ts';

describeConsole('customers in the console', (console) => {
  const rows = (table: string[][]) =>
    table.slice(1).map((cells) => cells.map((cell) => cell.replaceAll(',', '')));
  const button = ({ page }: Visitor, name: string) => page.getByRole('button', { name, exact: true });

  it('shows who uses most, as the API and the database have it', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    await postTraffic(site, tenant);
    await site.call('PATCH', '/v1/customers/customer-2', { key: tenant.key, body: { name: 'Second Ltd' } });
    const meter = { slug: 'calls', name: 'Calls made', eventType: 'api.request', aggregation: 'count' };
    await site.call('POST', '/v1/meters', { key: tenant.key, body: meter });
    const price = {
      model: 'gpt-4o',
      currency: 'EUR',
      unitPrices: { input: '0.000000000001', output: '0.5' },
    };
    await site.call('POST', '/v1/prices', { key: tenant.key, body: price });
    const visitor = await console.visit('/console/customers', { key: tenant.key });
    const { page } = visitor;
    const by = page.getByRole('combobox', { name: 'By', exact: true });
    for (const [chosen, asked, column] of [
      ['tokens', 'measure=tokens', 'tokens'],
      ['value', 'measure=value', 'value'],
      ['cost in EUR', 'measure=cost&currency=EUR', null],
      ['meter Calls made', 'meter=calls', null],
    ] as const) {
      await visitor.ready('Customers');
      await by.locator('option', { hasText: chosen }).waitFor({ state: 'attached' });
      await by.selectOption(chosen);
      await page.getByRole('columnheader', { name: chosen }).waitFor();
      const table = rows(await visitor.table('Customers by what they use'));
      const { data, total } = await site.call('GET', `/v1/usage/top?${asked}`, { key: tenant.key });
      expect(data.length).toBeGreaterThan(1);
      expect([chosen, ...table.map(([name, value]) => [name, value])]).toEqual([
        chosen,
        ...data.map(({ customerId, name, value }: Record<string, string | null>) => [
          name === null ? customerId : `${name} ${customerId}`,
          value,
        ]),
        ['All', total],
      ]);
      if (column === null) continue;
      const stored = await site.rows(
        `select customer_id, trim_scale(sum(${column})::numeric)::text as value from event where tenant_id = $1
         group by 1 order by sum(${column}) desc, customer_id`,
        [tenant.id],
      );
      expect(data.map(({ customerId, value }: Record<string, string>) => [customerId, value])).toEqual(
        stored.map(({ customer_id, value }) => [customer_id, value]),
      );
    }
    expect(new URL(page.url()).searchParams.get('by')).toBe('meter calls');
    await visitor.isAccessible();
    await visitor.fits();

    await page.getByRole('link', { name: 'All customers' }).click();
    expect(rows(await visitor.table('All customers')).map((cells) => cells.slice(0, 2))).toEqual([
      ['customer-1', ''],
      ['customer-2', 'Second Ltd'],
      ['customer-3', ''],
      ['customer-4', ''],
    ]);
    await visitor.isAccessible();
    await page.getByLabel('Customer', { exact: true }).fill('customer-2');
    await page.keyboard.press('Enter');
    await visitor.ready('Second Ltd');
  });

  it('shows one: usage, cost, meters, sessions, and where it stands with rules', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const events = (await postTraffic(site, tenant)).filter(({ customerId }) => customerId === 'customer-3');
    const visited = [1, 2].map((n) => ({
      ...{ eventId: `visit-${n}`, customerId: 'customer-3', apiEndpoint: '/v1/chat', reference: 'visit / 7' },
      ...{
        timestamp: new Date(Date.now() - n * 60_000).toISOString(),
        value: '0.000000000000000001',
        metadata: { tokens: 3 },
      },
    }));
    await site.call('POST', '/v1/events', { key: tenant.key, body: visited });
    const meter = { slug: 'calls', name: 'Calls made', eventType: 'api.request', aggregation: 'count' };
    await site.call('POST', '/v1/meters', { key: tenant.key, body: meter });
    const price = {
      model: 'claude-sonnet-4',
      currency: 'EUR',
      unitPrices: { input: '0.000000000001', output: '0.5' },
    };
    await site.call('POST', '/v1/prices', { key: tenant.key, body: price });
    const now = new Date();
    const month = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1);
    // On its first morning, most of them are of the month before.
    const inMonth = [...events, ...visited].filter(({ timestamp }) => Date.parse(timestamp) >= month).length;
    const threshold = inMonth > 150 ? '150' : '1';
    const rule = { kind: 'usage', measure: 'calls', period: 'month', threshold, name: 'Many calls' };
    await site.call('POST', '/v1/alert-rules', { key: tenant.key, body: rule });

    const visitor = await console.visit('/console/customers/customer-3?range=6h', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('customer-3');
    const plain = async (label: string) => (await visitor.stat(label)).replaceAll(',', '');
    const tokens = events.reduce(
      (sum, { metadata }) => sum + metadata.inputTokens + metadata.outputTokens,
      6,
    );
    expect([await plain('Calls'), await plain('Tokens'), await plain('Value')]).toEqual([
      String(events.length + 2),
      String(tokens),
      decimalSum([...events, ...visited].map(({ value }) => value)),
    ]);
    const { data } = await site.call('GET', '/v1/costs?customerId=customer-3&granularity=1mo', {
      key: tenant.key,
    });
    const cost = decimalSum(data.map(({ costs }: { costs: { amount: string }[] }) => costs[0]!.amount));
    expect(await plain('Cost in EUR')).toBe(cost);
    const [{ count }] = await site.rows(
      `select count(*)::int from event where tenant_id = $1 and customer_id = 'customer-3'`,
      [tenant.id],
    );
    expect(count).toBe(events.length + 2);
    await visitor.isAccessible();
    await visitor.fits();

    const tab = (name: string) =>
      page.getByRole('navigation', { name: 'Of the customer' }).getByRole('link', { name });
    await tab('Meters').click();
    await page
      .getByRole('cell', { name: String(count), exact: true })
      .first()
      .waitFor();
    expect(rows(await visitor.table('Meters of the customer'))).toEqual([
      ['Calls made', 'number of events of api.request', String(count), String(count), '0'],
    ]);
    await visitor.isAccessible();

    await tab('Sessions').click();
    await page.getByRole('link', { name: 'visit / 7' }).waitFor();
    const [[session, , , length, ...sums]] = rows(await visitor.table('Sessions of the customer')) as [
      string[],
    ];
    expect([session, length, ...sums]).toEqual(['visit / 7', '1 min', '2', '6', '0.000000000000000002', '1']);
    await visitor.isAccessible();

    await tab('Alerts').click();
    await page.getByText('above', { exact: true }).waitFor();
    const [stands] = rows(await visitor.table('Where it stands'));
    expect(stands!.slice(0, 4)).toEqual([
      'Many calls',
      'calls of a customer per month',
      String(inMonth),
      threshold,
    ]);
    await visitor.isAccessible();
    await visitor.fits();
    await page.goBack();
    await visitor.table('Sessions of the customer');
  });

  it('is named by who may, and only looked at by who may not', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const id = 'a/b ?&% ö';
    await site.call('POST', '/v1/events', {
      key: tenant.key,
      body: { eventId: 'one', timestamp: new Date().toISOString(), customerId: id, apiEndpoint: '/x' },
    });
    const reader = await console.visit('/console/customers', { key: await site.key(tenant.id, ['read']) });
    await reader.ready('Customers');
    await reader.page.getByRole('link', { name: id }).click();
    await reader.ready(id);
    expect(await button(reader, 'Name it').count()).toBe(0);
    expect(await reader.page.getByRole('link', { name: 'Alerts' }).count()).toBe(0);

    const visitor = await console.visit(`/console/customers/${encodeURIComponent(id)}`, { key: tenant.key });
    const { page } = visitor;
    await visitor.ready(id);
    await button(visitor, 'Name it').click();
    await page.getByLabel('Name', { exact: true }).fill('Odd Inc.');
    await visitor.isAccessible();
    await button(visitor, 'Save').click();
    await visitor.ready('Odd Inc.');
    const [{ name }] = await site.rows('select name from customer where tenant_id = $1', [tenant.id]);
    expect(name).toBe('Odd Inc.');
  });

  it('says that there is none, and how there will be one', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const visitor = await console.visit('/console/customers', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Customers');
    await page.getByText('No customer has anything in this range.').waitFor();
    await page.getByText(`${site.address}/v1/events`).waitFor();
    await visitor.isAccessible();
    visitor.allow(/status of 404/);
    await page.goto(`${site.address}/console/customers/nobody`);
    await page.getByRole('alert').getByText('not_found').waitFor();
    await visitor.isAccessible();
  });
});

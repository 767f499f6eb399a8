import { expect, it } from 'vitest';
import { describeConsole } from './support/describeConsole.ts';
import type { Tenant } from './support/site.ts';
import type { Visitor } from './support/visitor.ts';

const HOUR = 3_600_000;

interface Point {
  dimensions: { region: string };
  value: string;
  events: number;
  ignored: number;
}

describeConsole('meters in the console', (console) => {
  const egress = async (
    tenant: Tenant,
    bodies: { gb: unknown; customerId?: string; region?: string; at?: number }[],
  ) => {
    const body = bodies.map(({ gb, customerId = 'acme', region = 'eu', at = 60_000 }) => ({
      eventId: crypto.randomUUID(),
      timestamp: new Date(Date.now() - at).toISOString(),
      customerId,
      eventType: 'egress',
      metadata: { gb, region },
    }));
    await console.site.call('POST', '/v1/events', { key: tenant.key, body });
  };
  const make = (tenant: Tenant, meter: object = {}) =>
    console.site.call('POST', '/v1/meters', {
      key: tenant.key,
      body: {
        slug: 'gb',
        name: 'Gigabytes',
        eventType: 'egress',
        aggregation: 'sum',
        value: '$.gb',
        dimensions: { region: '$.region' },
        ...meter,
      },
    });
  const query = (tenant: Tenant, of: string) =>
    console.site.call('GET', `/v1/meters/gb/query?${of}`, { key: tenant.key });
  const heads = (table: string[][]) => table[0];
  const button = ({ page }: Visitor, name: string) => page.getByRole('button', { name, exact: true });

  it('gets from nothing to a meter that counts by the mouse alone', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const visitor = await console.visit('/console/meters', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Meters');
    await page.getByText('There is no meter yet.').waitFor();
    await visitor.isAccessible();
    await page.getByRole('link', { name: 'Make a meter' }).first().click();
    await visitor.ready('Make a meter');
    await visitor.isAccessible();
    await button(visitor, 'Send 20 examples').click();

    const row = (path: string) =>
      page.getByRole('region', { name: 'What the last events have' }).getByRole('row', { name: path });
    const aggregation = page.getByRole('combobox', { name: 'Aggregation' });
    await row('$.region').getByRole('button', { name: 'measure' }).click();
    expect(await aggregation.inputValue()).toBe('uniqueCount');
    await row('$.gb').getByRole('button', { name: 'measure' }).click();
    expect(await aggregation.inputValue()).toBe('sum');
    await row('$.region').getByRole('button', { name: 'group by' }).click();
    await page.getByText('1 not a number').waitFor();
    expect([await visitor.stat('Counted'), await visitor.stat('Ignored')]).toEqual(['19', '1']);
    // A quarter more for each of 20, but for the eighth.
    expect(await visitor.stat('Value of these')).toBe('50.5');
    await page.getByRole('columnheader', { name: 'region' }).waitFor();
    const verdicts = await visitor.table('The last events');
    expect(verdicts.filter((cells) => cells[1] === 'ignored not a number')).toHaveLength(1);
    await visitor.isAccessible();
    await visitor.fits();
    await button(visitor, 'Make the meter').click();

    await visitor.ready('egress_gb');
    expect(new URL(page.url()).pathname).toBe('/console/meters/egress_gb');
    const figures = () => Promise.all(['Value', 'Events', 'Ignored'].map((label) => visitor.stat(label)));
    expect(await figures()).toEqual(['50.5', '20', '1']);
    const [{ sum, events }] = await site.rows(
      `select trim_scale(sum((metadata ->> 'gb')::numeric) filter (where metadata ->> 'gb' <> 'n/a'))::text as sum,
         count(*)::int as events from event where tenant_id = $1 and event_type = 'egress'`,
      [tenant.id],
    );
    expect([sum, events]).toEqual(['50.5', 20]);

    await egress(tenant, [{ gb: '0.25' }]);
    await page.waitForFunction(() => document.querySelector('.stat b')?.textContent === '50.75');
    expect(await figures()).toEqual(['50.75', '21', '1']);
  });

  it('shows each with its last day, and what it has ignored and why', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    await egress(tenant, [
      { gb: '1.5' },
      { gb: 2, at: 3 * HOUR },
      { gb: 'much' },
      { gb: null, at: 5 * HOUR },
      { gb: 40, at: 30 * HOUR },
    ]);
    await make(tenant);
    await make(tenant, { slug: 'calls', name: 'calls', aggregation: 'count', value: undefined });
    const archived = await make(tenant, { slug: 'gone' });
    await site.call('DELETE', `/v1/meters/${archived.id}`, { key: tenant.key });
    const visitor = await console.visit('/console/meters', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Meters');
    await page.getByText('1 null, 1 not a number').waitFor();
    const [head, gigabytes, calls, ...more] = await visitor.table('All meters');
    expect(head).toEqual(['Meter', 'Counts', 'Last 24 h', 'Events', 'Ignored', 'Why, since ever', 'Past']);
    expect(gigabytes!.slice(0, 6)).toEqual([
      'Gigabytes gb',
      'sum of $.gb of egress',
      '',
      '4',
      '50 %',
      '1 null, 1 not a number',
    ]);
    expect(calls!.slice(0, 5)).toEqual(['calls', 'number of events of egress', '', '4', '0 %']);
    expect(more).toEqual([]);
    const line = page.getByRole('img', { name: 'Gigabytes by hour over the last 24 hours' });
    expect(await line.locator('path').getAttribute('d')).toMatch(/^M0\.0 .*L100\.0 /);
    await visitor.isAccessible();
    await visitor.fits();

    await page.getByRole('combobox', { name: 'Show' }).selectOption('archived too');
    await page.getByText('archived', { exact: true }).waitFor();
    expect(new URL(page.url()).search).toBe('?show=all');
  });

  it('shows one by dimension and customer, as the API has it, to the last digit', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    await egress(tenant, [
      { gb: '12345678901234567.000000000000000001', region: 'eu' },
      { gb: '0.5', region: 'us', customerId: 'zeta', at: HOUR },
      { gb: '7', region: 'us', at: 2 * HOUR },
      { gb: 'none', region: 'us', at: 2 * HOUR },
    ]);
    await make(tenant);
    const visitor = await console.visit('/console/meters/gb?zone=Asia%2FKathmandu&granularity=1h', {
      key: tenant.key,
    });
    const { page } = visitor;
    await visitor.ready('Gigabytes');
    expect(await visitor.stat('Value')).toBe('12,345,678,901,234,574.500000000000000001');
    expect(await visitor.stat('Ignored')).toBe('1');
    await visitor.isAccessible();
    await visitor.fits();

    await page.getByRole('combobox', { name: 'By', exact: true }).selectOption('region');
    const asked = 'granularity=1h&timezone=Asia/Kathmandu';
    const grouped = (table: string[][]) =>
      table.slice(1).map((cells) => cells.map((cell) => cell.replaceAll(',', '')));
    expect(grouped(await visitor.table('Values by region'))).toEqual([
      ['eu', '12345678901234567.000000000000000001', '1', '0'],
      ['us', '7.5', '3', '1'],
    ]);
    const windows = grouped(await visitor.table('Gigabytes by window'));
    const { data } = await query(tenant, `${asked}&groupBy=region`);
    expect(windows.map((cells) => cells.slice(1, 5))).toEqual(
      data
        .reverse()
        .map(({ dimensions, value, events, ignored }: Point) => [
          dimensions.region,
          value,
          String(events),
          String(ignored),
        ]),
    );
    // Hours of Kathmandu begin at a quarter past those of UTC.
    expect(windows.every(([from]) => from!.endsWith(':00'))).toBe(true);

    await page.getByRole('combobox', { name: 'By', exact: true }).selectOption('customer');
    expect(heads(await visitor.table('Values by customer'))![0]).toBe('customer');
    await page.getByRole('combobox', { name: 'region', exact: true }).fill('us');
    await page.getByRole('combobox', { name: 'region', exact: true }).press('Enter');
    await page.waitForFunction(() => document.querySelector('.stat b')?.textContent === '7.5');
    expect(grouped(await visitor.table('Values by customer'))).toEqual([
      ['acme', '7', '2', '1'],
      ['zeta', '0.5', '1', '0'],
    ]);
    expect(Object.fromEntries(new URL(page.url()).searchParams)).toEqual({
      zone: 'Asia/Kathmandu',
      granularity: '1h',
      by: 'customer',
      'f.region': 'us',
    });
    await page.goBack();
    await page.waitForFunction(() => document.querySelector('.stat b')?.textContent !== '7.5');
    await page.reload();
    await visitor.ready('Gigabytes');
    expect(await visitor.stat('Events')).toBe('4');
  });

  it('is archived once it has been asked, and by nobody who may not', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    await egress(tenant, [{ gb: 1 }]);
    await make(tenant);
    const reader = await console.visit('/console/meters/gb', { key: await site.key(tenant.id, ['read']) });
    await reader.ready('Gigabytes');
    expect(await button(reader, 'Archive').count()).toBe(0);
    await reader.page.goto(`${site.address}/console/meters`);
    await reader.ready('Meters');
    expect(await reader.page.getByRole('link', { name: 'Make a meter' }).count()).toBe(0);

    const visitor = await console.visit('/console/meters/gb', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Gigabytes');
    await button(visitor, 'Archive').focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'Archive Gigabytes?' }).waitFor();
    await visitor.isAccessible();
    await page.keyboard.press('Escape');
    expect(await button(visitor, 'Archive').evaluate((shown) => shown === document.activeElement)).toBe(true);
    expect((await query(tenant, '')).data).toHaveLength(1);
    await button(visitor, 'Archive').click();
    await button(visitor, 'Archive it').click();
    await visitor.ready('Meters');
    await page.getByText('There is no meter yet.').waitFor();
    expect(
      (await site.rows('select archived_at from meter where tenant_id = $1', [tenant.id]))[0].archived_at,
    ).not.toBeNull();
  });

  it('says what is wrong with a definition, and that a slug is taken', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    await egress(tenant, [{ gb: 1 }]);
    await make(tenant);
    const visitor = await console.visit('/console/meters?new=1', { key: tenant.key });
    const { page } = visitor;
    visitor.allow(/status of 40[09]/);
    await visitor.ready('Make a meter');
    await page.getByRole('button', { name: 'egress 1' }).click();
    await page.getByRole('combobox', { name: 'Aggregation' }).selectOption('greatest of');
    await page.getByLabel('Value path').fill('$.[');
    await page.getByRole('alert').filter({ hasText: 'invalid_request' }).waitFor();
    await page.getByLabel('Value path').fill('$.gb');
    await page.getByLabel('Slug').fill('gb');
    await button(visitor, 'Add a condition').click();
    await page.getByLabel('Path of the condition').fill('$.region');
    await page.getByLabel('Compared with').fill('us');
    await page.getByText('1 filtered out').waitFor();
    await button(visitor, 'Make the meter').click();
    await page.getByRole('alert').filter({ hasText: 'meter_exists' }).waitFor();
    await visitor.isAccessible();
    await page.getByLabel('Slug').fill('most_of_us');
    await page.getByLabel('Slug').press('Enter');
    await visitor.ready('most_of_us');
    const made = await site.call('GET', '/v1/meters/most_of_us', { key: tenant.key });
    expect(made).toMatchObject({
      aggregation: 'max',
      value: '$.gb',
      filter: [{ path: '$.region', equals: 'us' }],
    });
  });
});

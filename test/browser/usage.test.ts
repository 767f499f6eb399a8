import { readFile } from 'node:fs/promises';
import { beforeAll, expect, it } from 'vitest';
import { describeConsole } from './support/describeConsole.ts';
import type { Tenant } from './support/site.ts';
import { postTraffic } from './support/traffic.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const grouped = (n: number | string) => String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
/** `1,234.50` of the page. */
const read = (text: string) => text.replaceAll(',', '');
const range = (from: number, to: number) =>
  `from=${encodeURIComponent(new Date(from).toISOString())}&to=${encodeURIComponent(new Date(to).toISOString())}`;

describeConsole('the usage page', (console) => {
  // Whole hours that are over: nothing moves while it is read.
  const to = Math.floor(Date.now() / HOUR) * HOUR;
  const from = to - 3 * HOUR;
  let tenant: Tenant;

  beforeAll(async () => {
    tenant = await console.site.tenant();
    await postTraffic(console.site, tenant, { minutes: 360, perMinute: 2, end: to });
  });

  const visit = async (query: string, options = {}) => {
    const visitor = await console.visit(`/console/usage?${range(from, to)}&${query}`, {
      key: tenant.key,
      ...options,
    });
    await visitor.ready('Usage');
    return visitor;
  };
  const sums = async (groupBy = 'true', start = from, end = to) =>
    console.site.rows(
      `select ${groupBy} as name, count(*)::int as calls, sum(tokens)::int as tokens, sum(input_tokens)::int as input,
         sum(output_tokens)::int as output, sum(value)::text as value
       from event where tenant_id = $1 and ts >= $2 and ts < $3 group by 1 order by 2 desc, 1`,
      [tenant.id, new Date(start), new Date(end)],
    );

  it('has the sums that the database has, and the rows that the API has', async () => {
    const visitor = await visit('granularity=15m');
    const [all] = await sums();
    expect(all.calls).toBe(360);
    const shown: string[] = [];
    for (const name of ['Calls', 'Tokens', 'Input', 'Output', 'Value'])
      shown.push(read(await visitor.stat(name)));
    expect(shown.slice(0, 4).map(Number)).toEqual([all.calls, all.tokens, all.input, all.output]);
    expect(Number(shown[4])).toBeCloseTo(Number(all.value), 9);

    const { data } = await console.site.call('GET', `/v1/usage?${range(from, to)}&granularity=15m`, {
      key: tenant.key,
    });
    const [head, ...rows] = await visitor.table('Calls by time');
    expect(head).toEqual([
      'From',
      'Calls',
      'Tokens',
      'Input',
      'Output',
      'Value',
      'Mean',
      'p50',
      'p95',
      'p99',
    ]);
    // biome-ignore lint/suspicious/noExplicitAny: points of the API
    const points = data.map(({ bucket, calls, tokens, inputTokens, outputTokens, value }: any) => [
      bucket.slice(0, 16).replace('T', ' '),
      ...[calls, tokens, inputTokens, outputTokens, value].map(grouped),
    ]);
    expect(rows).toHaveLength(12);
    expect(rows.map((row) => row.slice(0, 6))).toEqual(points);
    const latencies = data.map(({ latency }: { latency: Record<string, number> }) =>
      ['avgMs', 'p50Ms', 'p95Ms', 'p99Ms'].map((name) => latency[name]!),
    );
    for (const [i, row] of rows.entries()) {
      for (const [j, text] of row.slice(6).entries()) {
        expect(text).toMatch(/^[\d,.]+ ms$/);
        expect(Math.abs(Number.parseFloat(text) - latencies[i][j]) / latencies[i][j]).toBeLessThan(0.005); // 3 digits
      }
    }
    await visitor.isAccessible();
    await visitor.fits();
  });

  it('groups, filters, and draws what it has in a table too', async () => {
    const visitor = await visit('granularity=1h');
    const { page } = visitor;
    await page.getByRole('combobox', { name: 'by', exact: true }).selectOption('model');
    await page.getByRole('heading', { name: 'In all' }).waitFor();
    const byModel = async () => (await visitor.table('Totals by group')).slice(1);
    const expected = (rows: Awaited<ReturnType<typeof sums>>) =>
      rows.map(({ name, calls, tokens }) => [name, grouped(calls), grouped(tokens)]);
    expect((await byModel()).toSorted()).toEqual(expected(await sums('model')).toSorted());

    await page.getByRole('combobox', { name: 'and', exact: true }).selectOption('customer');
    await expect
      .poll(async () => (await visitor.table('Totals by group'))[0])
      .toEqual(['Model · Customer', 'Calls', 'Tokens']);
    const both = expected(await sums(`model || ' · ' || customer_id`));
    await expect.poll(async () => (await byModel()).toSorted()).toEqual(both.toSorted());

    await page.getByLabel('Customer', { exact: true }).fill('customer-2');
    await page.keyboard.press('Enter');
    await expect
      .poll(async () => (await byModel()).toSorted())
      .toEqual(both.filter(([name]) => name!.endsWith('customer-2')).toSorted());
    expect(page.url()).toContain('customerId=customer-2');

    await page.getByText('As a table').click();
    const [head, ...rows] = await visitor.table('Calls over time');
    expect([head!.length, rows.length]).toEqual([1 + both.length / 4, 3]);
    await visitor.isAccessible();
    await visitor.fits();
  });

  it('shows percentiles as lines, and nothing to add up', async () => {
    const visitor = await visit('granularity=1h&measure=latency');
    const { page } = visitor;
    const { data } = await console.site.call('GET', `/v1/usage?${range(from, to)}&granularity=1h`, {
      key: tenant.key,
    });
    const { latency } = data.at(-1);
    for (const [name, value] of [
      ['p50', latency.p50Ms],
      ['p95', latency.p95Ms],
      ['p99', latency.p99Ms],
    ]) {
      const legend = await page.getByRole('button', { name: new RegExp(`^${name} `) }).innerText();
      expect(Number.parseFloat(legend.replace(name, ''))).toBeCloseTo(value, -1);
    }
    expect(await page.getByRole('heading', { name: 'In all' }).count()).toBe(0);
  });

  it('compares with the period before, to the digit', async () => {
    const visitor = await visit('granularity=1h&compare=1&customerId=customer-1');
    const { page } = visitor;
    await page.getByRole('button', { name: /^Before/ }).waitFor();
    const of = async (start: number, end: number) =>
      (await sums('customer_id', start, end)).find(({ name }) => name === 'customer-1');
    const [now, before] = [await of(from, to), await of(from - 3 * HOUR, from)];
    const percent = (100 * (now.tokens - before.tokens)) / before.tokens;
    const text = await page
      .locator('.stat', { hasText: /^Tokens/ })
      .locator('small')
      .innerText();
    const sign = percent > 0 ? '+' : percent < 0 ? '−' : '±';
    expect(text[0]).toBe(sign);
    expect(Number.parseFloat(text.slice(1))).toBeCloseTo(Math.abs(percent), 1);
  });

  it('tells the values at the pointer, and looks closer at what is drawn over', async () => {
    const visitor = await visit('granularity=15m&by=model');
    const { page } = visitor;
    const { data } = await console.site.call(
      'GET',
      `/v1/usage?${range(from, to)}&granularity=15m&groupBy=model`,
      { key: tenant.key },
    );
    const chart = page.getByRole('img', { name: /Calls over time/ });
    const { x, y, width, height } = (await chart.boundingBox())!;
    for (const bucket of [from, from + HOUR, to - 15 * MINUTE]) {
      // Lines go from the first bucket to the last one, between the room for the axes.
      const at = x + 58 + ((bucket - from) / (3 * HOUR - 15 * MINUTE)) * (width - 80);
      await page.mouse.move(at, y + height / 2);
      for (const model of ['gpt-4o', 'claude-sonnet-4']) {
        const point = data.find(
          // biome-ignore lint/suspicious/noExplicitAny: a point of the API
          (one: any) => one.model === model && Date.parse(one.bucket) === bucket,
        );
        const shown = page.getByRole('button', { name: `${model} ${point?.calls ?? 0}`, exact: true });
        await shown.waitFor();
      }
    }
    const px = (part: number) => x + 58 + part * (width - 80);
    await page.mouse.move(px(0.25), y + 40);
    await page.mouse.down();
    await page.mouse.move(px(0.6), y + 60);
    await page.mouse.move(px(0.75), y + 60);
    await page.mouse.up();
    await expect.poll(() => page.url()).not.toContain(range(from, to));
    const chosen = new URL(page.url()).searchParams;
    const span = 3 * HOUR - 15 * MINUTE;
    for (const [name, part] of [
      ['from', 0.25],
      ['to', 0.75],
    ] as const) {
      expect(Math.abs(Date.parse(chosen.get(name)!) - from - part * span)).toBeLessThan(MINUTE);
    }
    await visitor.ready('Usage');
    await page.goBack();
    await expect.poll(() => page.url()).toContain(range(from, to));
  });

  it('saves what it shows as CSV, as the API has it', async () => {
    const visitor = await visit('granularity=5m&by=endpoint');
    const { page } = visitor;
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'CSV' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('usage.csv');
    const csv = await console.site.call(
      'GET',
      `/v1/usage?${range(from, to)}&granularity=5m&groupBy=endpoint&limit=10000`,
      {
        key: tenant.key,
        headers: { accept: 'text/csv' },
      },
    );
    expect(await readFile(await download.path(), 'utf8')).toBe(csv);
    expect(csv.trim().split('\n')).toHaveLength(1 + 36 * 3);
  });

  it('has days as the zone has them', async () => {
    const visitor = await visit('granularity=1d&zone=Pacific/Auckland');
    const rows = (await visitor.table('Calls by time')).slice(1);
    const days = await console.site.rows(
      `select to_char(ts at time zone 'Pacific/Auckland', 'YYYY-MM-DD') as day, count(*)::int as calls
       from event where tenant_id = $1 and ts >= $2 and ts < $3 group by 1 order by 1`,
      [tenant.id, new Date(from), new Date(to)],
    );
    expect(rows.map(([day, calls]) => [day, Number(calls)])).toEqual(
      days.map(({ day, calls }) => [day, calls]),
    );
  });

  it('shows what it costs by the prices there are, exact', async () => {
    const prices = [
      { model: 'gpt-4o', currency: 'USD', per: 'million', unitPrices: { input: '2.5', output: '10' } },
    ].map((price) => ({ ...price, effectiveFrom: '2020-01-01T00:00:00Z' }));
    await console.site.call('POST', '/v1/prices', { key: tenant.key, body: prices });
    const visitor = await visit('granularity=1h&measure=cost&by=model');
    const [row] = await console.site.rows(
      `select trim_scale(sum(input_tokens * 0.0000025 + output_tokens * 0.00001))::text as amount, count(*)::int as calls
       from event where tenant_id = $1 and ts >= $2 and ts < $3 and model = 'gpt-4o'`,
      [tenant.id, new Date(from), new Date(to)],
    );
    const totals = await visitor.table('Totals by group');
    expect(totals.find(([name]) => name === 'gpt-4o · USD')).toEqual([
      'gpt-4o · USD',
      grouped(row.calls),
      row.amount,
    ]);
    await visitor.isAccessible();
  });

  it('says of what has nothing how it is filled, and of what is refused why', async () => {
    const empty = await console.site.tenant();
    const visitor = await console.visit('/console/usage', { key: empty.key });
    await visitor.ready('Usage');
    const curl = await visitor.page.locator('.empty code').innerText();
    expect(curl).toContain(`curl -s '${console.site.address}/v1/events' -H "Authorization: Bearer $KEY"`);
    expect(await visitor.page.content()).not.toContain(empty.key);
    await visitor.isAccessible();

    visitor.allow(/status of 400/);
    await visitor.page.goto(
      `${console.site.address}/console/usage?range=90d&granularity=30s&endpoint=${'x'.repeat(1_100)}`,
    );
    await visitor.page.getByRole('alert').waitFor();
    expect(await visitor.page.getByRole('alert').innerText()).toMatch(
      /invalid_request[\s\S]*Request [0-9a-f-]{36}/,
    );
  });
});

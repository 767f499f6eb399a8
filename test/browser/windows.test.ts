import { expect, it } from 'vitest';
import { describeConsole } from './support/describeConsole.ts';
import type { Site, Tenant } from './support/site.ts';
import { postTraffic } from './support/traffic.ts';

const MINUTE = 60_000;

/** A tenant with traffic that was late, and corrections of it: all of an hour that is over. */
async function corrected(site: Site): Promise<{ tenant: Tenant; from: string; to: string; fixed: string }> {
  const tenant = await site.tenant();
  const end = Math.floor(Date.now() / MINUTE) * MINUTE - 10 * MINUTE;
  const events = await postTraffic(site, tenant, { minutes: 60, end });
  const correct = (kind: string, body: object) =>
    site.call('POST', `/v1/events/${kind}`, {
      key: tenant.key,
      body: { reason: `because of ${kind}`, ...body },
    });
  const ids = events.slice(100, 103).map(({ eventId }) => eventId);
  await correct('void', { ids });
  await correct('restore', { ids: ids.slice(0, 1) });
  await correct('amend', { events: [{ ...events[110], value: '99.123456789012345678' }] });
  const [from, to] = [new Date(end - 60 * MINUTE).toISOString(), new Date(end).toISOString()];
  return { tenant, from, to, fixed: `from=${from}&to=${to}` };
}

describeConsole('the windows of the console', (console) => {
  it('how far they are closed, and how often they have changed, as the API and the database have it', async () => {
    const { site } = console;
    const { tenant, from, to, fixed } = await corrected(site);
    const visitor = await console.visit(`/console/windows?${fixed}`, { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Windows');
    const [sums] = await site.rows(
      `select count(*)::int as revisions, count(distinct (bucket, customer_id))::int as windows,
         count(*) filter (where cause = 'void')::int as voids
       from window_revision where tenant_id = $1 and bucket >= $2 and bucket < $3`,
      [tenant.id, from, to],
    );
    expect([await visitor.stat('Revisions'), await visitor.stat('Windows changed')]).toEqual([
      String(sums.revisions),
      String(sums.windows),
    ]);
    expect(await page.locator('.stat', { hasText: 'Revisions' }).innerText()).toContain(`${sums.voids} void`);
    const counts = await site.call('GET', `/v1/windows/history/counts?${fixed}&granularity=30s&limit=1000`, {
      key: tenant.key,
    });
    const cells = await page
      .getByRole('toolbar', { name: 'Revisions by 30s' })
      .getByRole('button')
      .evaluateAll((all) => all.map((cell) => cell.getAttribute('aria-label')!));
    expect(cells).toHaveLength(120);
    const told = cells.filter((label) => label.includes('revisions of'));
    expect(told.map((label) => /(\d+) revisions of (\d+) windows/.exec(label)!.slice(1).map(Number))).toEqual(
      counts.data.map(({ revisions, windows }: Record<string, number>) => [revisions, windows]),
    );
    const [state] = await site.rows('select closed_until from window_state');
    const shown = await visitor.stat('Closed through');
    expect(Date.parse(`${state.closed_until.toISOString().slice(0, 10)}T${shown}Z`)).toBeLessThanOrEqual(
      state.closed_until.getTime(),
    );
    await visitor.isAccessible();
    await visitor.fits();
  });

  it('are listed, by state and customer, and a cell of the strip brings what it holds', async () => {
    const { site } = console;
    const { tenant, fixed } = await corrected(site);
    const visitor = await console.visit(`/console/windows?${fixed}`, { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Windows');
    const listed = async () => (await visitor.table('Windows of the range')).slice(1);
    // biome-ignore lint/suspicious/noExplicitAny: as served
    const row = ({ windowStart, customerId, state, revision, aggregations: sums }: any) => [
      windowStart.slice(0, 19).replace('T', ' '),
      customerId,
      revision > 0 ? `${state} revision ${revision}` : state,
      ...[sums.totalCalls, sums.totalTokens, sums.totalInputTokens, sums.totalOutputTokens].map(String),
    ];
    const asked = async (query: string) =>
      (await site.call('GET', `/v1/windows?${query}`, { key: tenant.key })).data.map(row);
    const cut = (rows: string[][]) => rows.map((cells) => cells.slice(0, 7));
    expect(cut(await listed())).toEqual(await asked(fixed));
    await page.getByLabel('Customer', { exact: true }).fill('customer-2');
    await page.getByLabel('Customer', { exact: true }).blur();
    const ofOne = await asked(`${fixed}&customerId=customer-2`);
    await expect.poll(async () => cut(await listed())).toEqual(ofOne);
    await page.getByRole('combobox', { name: 'Which' }).selectOption('open');
    await page.getByText('No such windows in this range').waitFor();
    await page.getByRole('combobox', { name: 'Which' }).selectOption('revised');
    await expect.poll(async () => cut(await listed())).toEqual(ofOne);

    const strip = page.getByRole('toolbar', { name: /Revisions by/ });
    await strip.getByRole('button').first().focus();
    await page.keyboard.press('End');
    await page.keyboard.press('ArrowLeft');
    const label = await page.evaluate(() => document.activeElement!.getAttribute('aria-label')!);
    await page.keyboard.press('Enter');
    const start = `${label.slice(0, 10)}T${label.slice(11, 19)}.000Z`;
    const { searchParams } = new URL(page.url());
    expect([searchParams.get('from'), searchParams.get('to')]).toEqual([
      start,
      new Date(Date.parse(start) + 30_000).toISOString(),
    ]);
    await page.goBack();
    await expect.poll(async () => cut(await listed())).toEqual(ofOne);
  });

  it('each revision has its cause, what it changed, and why', async () => {
    const { site } = console;
    const { tenant, fixed } = await corrected(site);
    const visitor = await console.visit(`/console/windows?${fixed}&tab=revisions`, { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Windows');
    const { data } = await site.call('GET', `/v1/windows/history?${fixed}`, { key: tenant.key });
    const signed = (n: number) => (n > 0 ? `+${n}` : n < 0 ? `−${-n}` : '±0');
    const rows = (await visitor.table('Revisions of the range')).slice(1);
    expect(rows.map((row) => [row[1], row[2], row[3], row[6], row[7]])).toEqual(
      // biome-ignore lint/suspicious/noExplicitAny: as served
      data.map((one: any) => [
        one.customerId,
        String(one.revision),
        one.cause,
        signed(one.difference.calls),
        signed(one.difference.tokens),
      ]),
    );
    for (let pages = 1; (await page.getByText(/all there are/).count()) === 0; pages++) {
      await page.getByRole('button', { name: 'Show more' }).click();
      await page
        .getByText(new RegExp(`(${100 * (pages + 1)}|all there are)`))
        .first()
        .waitFor();
    }
    const all = (await visitor.table('Revisions of the range')).slice(1);
    const amended = all.find((row) => row[3] === 'amend')!;
    const [stored] = await site.rows(
      `select trim_scale(value)::text as value from window_revision where tenant_id = $1 and cause = 'amend'`,
      [tenant.id],
    );
    expect([amended[8], amended[9]]).toEqual([
      `+${stored.value}`,
      expect.stringMatching(/^because of amend key /),
    ]);
    await visitor.isAccessible();
  });

  it('one has its sums before and after each change, its digest, and itself as of a moment', async () => {
    const { site } = console;
    const { tenant } = await corrected(site);
    const [found] = await site.rows(
      `select bucket, customer_id, to_char(at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at, revision
       from window_revision where tenant_id = $1 and cause = 'amend'`,
      [tenant.id],
    );
    const start = found.bucket.toISOString();
    const end = new Date(Date.parse(start) + 30_000).toISOString();
    const visitor = await console.visit(`/console/windows?window=${start}&of=${found.customer_id}`, {
      key: tenant.key,
    });
    const { page } = visitor;
    await visitor.ready('Window');
    const range = `from=${start}&to=${end}&customerId=${found.customer_id}`;
    const { data } = await site.call('GET', `/v1/windows?${range}&digest=true`, { key: tenant.key });
    const [window] = data;
    expect(await visitor.stat('State')).toBe('revised');
    expect(await visitor.stat('Value')).toBe(window.digest.value);
    await page.getByText(window.digest.sha256).waitFor();
    const history = await visitor.table('Revisions of this window');
    const [first, last] = [history[1]!, history.at(-1)!];
    expect([first[0], first[4], first[5], first[8]]).toEqual(['before', '0', '0', '0']); // all of it came in late
    expect(last.slice(0, 2)).toEqual([String(found.revision), 'amend']);
    const [sum] = await site.rows(
      `select trim_scale(sum(value))::text as value, sum(tokens)::text as tokens, count(*)::text as calls from event
       where tenant_id = $1 and customer_id = $2 and ts >= $3 and ts < $4`,
      [tenant.id, found.customer_id, start, end],
    );
    const ofNow = [last[4], last[5], last[8]].map((cell) => cell!.split(' ').at(-1));
    expect(ofNow).toEqual([sum.calls, sum.tokens, sum.value]);

    // What was is told once it has settled: when the next window closes.
    const then = `/v1/windows?${range}&asOf=${found.at}`;
    const settled = async () => (await site.call('GET', then, { key: tenant.key })).asOf === found.at;
    await expect.poll(settled, { timeout: 90_000, interval: 1_000 }).toBe(true);
    const was = (await site.call('GET', then, { key: tenant.key })).data[0].aggregations;
    await page.getByRole('link', { name: 'with before it' }).last().click();
    await page.getByText(/revised, revision \d+\.|closed, revision 0\./).waitFor();
    const table = await visitor.table('Sums');
    expect(table[0]).toEqual(['Sum', 'Then', 'Now', 'Difference']);
    expect(table.find(([name]) => name === 'Tokens')!.slice(1, 3)).toEqual([
      String(was.totalTokens),
      String(window.aggregations.totalTokens),
    ]);
    const changed = `/v1/usage/changes?${range}&since=${found.at}`;
    const changes = async () => (await site.call('GET', changed, { key: tenant.key })).data.length;
    await expect.poll(changes, { timeout: 90_000, interval: 1_000 }).toBe(2);
    await page.reload();
    await visitor.ready('Window');
    const versions = await visitor.table('Events changed');
    expect(versions.slice(1).map((row) => [row[3], row[4]])).toEqual([
      ['amend', 'no more'],
      ['amend', 'now'],
    ]);
    expect(versions[2]![8]).toBe('+99.123456789012345678');
    await visitor.isAccessible();
    await visitor.fits();

    await page.goto(`${site.address}/console/windows?tab=changes&from=${start}&to=${end}&since=${found.at}`);
    await visitor.ready('Windows');
    const told = await site.call('GET', `/v1/usage/changes?from=${start}&to=${end}&since=${found.at}`, {
      key: tenant.key,
    });
    expect(await visitor.stat('Value')).toBe(`+${told.difference.value}`);
    await visitor.isAccessible();
    await visitor.fits();
  }, 240_000);

  it('one that is not there, or has not changed, says so', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const start = new Date(Math.floor(Date.now() / 30_000) * 30_000).toISOString();
    const visitor = await console.visit(`/console/windows?window=${start}&of=nobody`, { key: tenant.key });
    await visitor.page.getByText('There is no such window').waitFor();
    await visitor.page.getByRole('link', { name: 'All windows' }).click();
    await visitor.ready('Windows');
    await visitor.page.getByText('No such windows in this range').waitFor();
    await visitor.page.getByRole('link', { name: 'Revisions' }).click();
    await visitor.page.getByText('No window of this range has changed').waitFor();
    await visitor.isAccessible();
  });
});

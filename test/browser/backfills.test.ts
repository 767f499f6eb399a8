import { expect, it } from 'vitest';
import { describeConsole } from './support/describeConsole.ts';

const DAY_MS = 86_400_000;
/** The day before yesterday, in UTC. */
const DAY = new Date(Date.now() - 2 * DAY_MS).toISOString().slice(0, 10);
const NEXT = new Date(Date.now() - DAY_MS).toISOString().slice(0, 10);

describeConsole('the page of backfills', (console) => {
  it('begins one, imports into it, shows what it would change, closes and reverts it', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const of = (id: string, tokens: number, hour: string) => ({
      eventId: id,
      timestamp: `${DAY}T${hour}:00:00Z`,
      customerId: 'initech',
      apiEndpoint: '/v1/chat',
      metadata: { tokens },
    });
    await site.call('POST', '/v1/events', {
      key: tenant.key,
      body: [of('old-1', 7, '08'), of('old-2', 11, '09')],
    });
    const counted = async () => {
      const path = `/v1/usage?granularity=1d&customerId=initech&from=${DAY}T00:00:00Z&to=${NEXT}T00:00:00Z`;
      const { data } = await site.call('GET', path, { key: tenant.key });
      return data.map(({ calls, tokens }: { calls: number; tokens: number }) => [calls, tokens]);
    };

    const visitor = await console.visit('/console/import?tab=backfills', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Import');
    await page.getByText('There is no backfill').waitFor();
    await visitor.isAccessible();
    const dialog = page.getByRole('dialog');
    await page.getByRole('button', { name: 'New backfill' }).click();
    await visitor.isAccessible();
    await dialog.getByLabel('From (').fill(`${DAY}T00:00`);
    await dialog.getByLabel('To (').fill(`${NEXT}T00:00`);
    await dialog.getByLabel('Only these customers').fill('initech');
    await dialog.getByLabel('Replace what is there').check();
    await dialog.getByLabel('Reason').fill('the gateway lost a day');
    await dialog.getByRole('button', { name: 'Begin' }).click();
    await page.getByText('closing it now would void what is there, 2 events').waitFor();
    const [backfill] = (await site.call('GET', '/v1/backfills', { key: tenant.key })).data;
    expect(backfill).toMatchObject({ state: 'staged', customers: ['initech'], replace: true });

    await visitor.isAccessible();
    await page.getByRole('link', { name: 'Import a file into it' }).click();
    const rows = Array.from({ length: 40 }, (_, i) => `${DAY}T1${i % 5}:00:${10 + i}Z,initech,/v1/chat,${i}`);
    const outside = [`${NEXT}T01:00:00Z,initech,/v1/chat,1`, `${DAY}T01:00:00Z,other,/v1/chat,1`];
    const content = `${['timestamp,customer,endpoint,tokens', ...rows, ...outside].join('\n')}\n`;
    await page
      .getByLabel('CSV file')
      .setInputFiles({ name: 'lost.csv', mimeType: 'text/csv', buffer: Buffer.from(content) });
    const events = page.getByLabel('The events');
    await page.getByRole('option', { name: 'the gateway lost a day' }).waitFor({ state: 'attached' });
    expect(await events.inputValue()).toBe(backfill.id);
    await events.selectOption('count at once');
    expect(new URL(page.url()).search).toBe('');
    await events.selectOption(backfill.id);
    await page.getByRole('button', { name: 'Import', exact: true }).click();
    await page.getByText('Done.').waitFor();
    expect([await visitor.stat('Staged'), await visitor.stat('Rejected')]).toEqual(['40', '2']);
    expect((await visitor.table('Rejected rows')).slice(1).map((row) => row.slice(0, 4))).toEqual([
      ['42', '/timestamp', 'timestamp_outside_backfill', `${NEXT}T01:00:00Z`],
      ['43', '/customerId', 'customer_outside_backfill', 'other'],
    ]);
    await page.getByText('2 faults:', { exact: true }).waitFor();
    expect(await counted()).toEqual([[2, 18]]);

    await page.getByRole('link', { name: 'look at the backfill' }).click();
    const preview = await visitor.table('Before and after, by day of UTC');
    expect(preview.slice(1).map((row) => [row[0], row[1], row[2]])).toEqual([
      [DAY, '2 → 40', '18 → 780'],
      ['In all', '2 → 40', '18 → 780'],
    ]);
    const shown = await site.call('GET', `/v1/backfills/${backfill.id}`, { key: tenant.key });
    expect(preview.at(-1)![5]).toBe(String(shown.preview.changedWindows));
    await visitor.isAccessible();
    await visitor.fits();

    expect(await page.getByText('closing it now would void').count()).toBe(0);
    await page.getByRole('button', { name: 'Close and count' }).click();
    await dialog.getByText('2 → 40 events, 18 → 780 tokens').waitFor();
    await dialog.getByText(`/v1/backfills/${backfill.id}/close`).waitFor();
    await visitor.isAccessible();
    await dialog.getByRole('button', { name: 'Close and count' }).click();
    await page.getByText('40 events count since').waitFor();
    expect(await counted()).toEqual([[40, 780]]);
    const stored = 'select count(*)::int as n from event where tenant_id = $1';
    expect(await site.rows(stored, [tenant.id])).toEqual([{ n: 40 }]);
    await page.getByRole('button', { name: 'Revert' }).click();
    await dialog.getByText('becomes void: 40 events').waitFor();
    await dialog.getByText('counts again: 2 events').waitFor();
    await dialog.getByLabel('Reason').fill('it was the log of the test system');
    await dialog.getByRole('button', { name: 'Revert' }).click();
    await page.getByText('it was the log of the test system;').waitFor();
    expect(await counted()).toEqual([[2, 18]]);

    const { closed } = await site.call('GET', `/v1/backfills/${backfill.id}`, { key: tenant.key });
    await page
      .getByRole('link', { name: `${closed.windows} windows revised` })
      .first()
      .click();
    await visitor.ready('Windows');
    const revisions = await visitor.table('Revisions of the range');
    expect(revisions.filter((row) => row.join(' ').includes('the gateway lost a day'))).toHaveLength(
      closed.windows,
    );

    // A key that may only read sees it, and can do nothing to it.
    const reader = await console.visit(`/console/import?tab=backfills&backfill=${backfill.id}`, {
      key: await site.key(tenant.id, ['read', 'ingest']),
    });
    await reader.ready('Import');
    await reader.page.getByText('it was the log of the test system').waitFor();
    expect(await reader.page.getByRole('button', { name: /Close|Revert|Drop|New backfill/ }).count()).toBe(0);
  });
});

import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { runProgram } from '../process/support/runProgram.ts';
import { runFolder } from '../support/runFolder.ts';
import { describeConsole } from './support/describeConsole.ts';
import type { Tenant } from './support/site.ts';
import type { Visitor } from './support/visitor.ts';

const ROWS = 12_000;
const HOUR_AGO = Date.now() - 3_600_000;
const at = (i: number) => new Date(HOUR_AGO - i * 1_000).toISOString();
const HEADER = 'when;user;path;prompt_tokens;completion_tokens;amount;team';

/** 12,000 rows, of which 6 are no events, one is too old, and two are the same but for their line. */
function fileOf(): string {
  const lines = Array.from({ length: ROWS }, (_, i) => {
    const row = [
      at(i),
      `customer-${i % 7}`,
      '/v1/chat',
      i % 90,
      i % 40,
      `${i % 10}.000000000000000001`,
      `"core; ""${i % 3}"""`,
    ];
    if (i === 10) row[0] = 'soon';
    if (i === 5_000) row[1] = '';
    if (i === 5_001) row[3] = '-1';
    if (i === 9_998) row[5] = 'a lot';
    if (i === 9_999) return 'only;three;fields';
    if (i === 10_000) return '"broken"quote;a;b;c;d;e;f';
    if (i === 11_000) row[0] = '2001-01-01T00:00:00Z';
    return row.join(';');
  });
  lines[21] = lines[20]!;
  return `${[HEADER, ...lines].join('\r\n')}\r\n`;
}
/** By line: the header is the first. */
const FAULTS = [
  ['12', '/timestamp', 'timestamp_invalid'],
  ['5002', '/customerId', 'required'],
  ['5003', '/metadata/inputTokens', 'out_of_range'],
  ['10000', '/value', 'value_invalid'],
  ['10001', '', 'column_count'],
  ['10002', '', 'quote_invalid'],
];
const TOO_OLD = ['11002', '/timestamp', 'timestamp_too_old'];
const COUNTED = ROWS - FAULTS.length - 1;

async function choose({ page }: Visitor, content: string | Buffer, name = 'usage.csv'): Promise<void> {
  await page
    .getByLabel('CSV file')
    .setInputFiles({ name, mimeType: 'text/csv', buffer: Buffer.from(content) });
  await page.getByRole('heading', { name: 'What the columns are' }).waitFor();
}

async function mapped(visitor: Visitor): Promise<void> {
  const { page } = visitor;
  await page.getByLabel('What when is').selectOption('timestamp');
  await page.getByLabel('What team is').selectOption('(kept)');
}

async function imported({ page }: Visitor, said = 'Done.'): Promise<void> {
  await page.getByRole('button', { name: 'Import', exact: true }).click();
  await page.getByRole('heading', { name: 'Import', level: 2 }).waitFor();
  await page.getByText(said).waitFor({ timeout: 180_000 });
}

describeConsole('the page that imports', (console) => {
  const stored = async ({ id }: Tenant) =>
    (
      await console.site.rows(
        `select count(*)::int as events, count(distinct event_id)::int as ids, sum(value)::text as value,
           sum(input_tokens)::int as input, sum(output_tokens)::int as output from event where tenant_id = $1`,
        [id],
      )
    )[0];

  it('looks a file through, imports it, and counts nothing twice when it is imported again', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const visitor = await console.visit('/console/import', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Import');
    await visitor.isAccessible();
    await choose(visitor, fileOf());
    const columns = await visitor.table('Columns');
    expect(columns.slice(1).map(([name]) => name)).toEqual(HEADER.split(';'));
    expect(await page.getByLabel('What user is').inputValue()).toBe('customerId');
    await page.getByText('Say which column is the time').waitFor();
    expect(await page.getByRole('button', { name: 'Import', exact: true }).isDisabled()).toBe(true);
    await mapped(visitor);
    await visitor.isAccessible();

    await page.getByRole('button', { name: 'Dry run' }).click();
    await page.getByText('Done: nothing was sent').waitFor({ timeout: 180_000 });
    expect([
      await visitor.stat('Rows read'),
      await visitor.stat('Are events'),
      await visitor.stat('Rejected'),
    ]).toEqual(['12,000', '11,994', '6']);
    const rejected = async () =>
      (await visitor.table('Rejected rows')).slice(1).map((row) => row.slice(0, 3));
    expect(await rejected()).toEqual(FAULTS);
    const cells = (await visitor.table('Rejected rows')).slice(1).map((row) => row[3]);
    expect(cells).toEqual(['soon', '', '-1', 'a lot', '', '']);
    await page.getByText('6 faults:', { exact: true }).waitFor();
    expect(await stored(tenant)).toMatchObject({ events: 0 });
    await visitor.isAccessible();
    await visitor.fits();

    await imported(visitor);
    const figures = async () =>
      Promise.all(['Rows read', 'Accepted', 'Duplicates', 'Rejected'].map((label) => visitor.stat(label)));
    expect(await figures()).toEqual(['12,000', COUNTED.toLocaleString('en'), '0', '7']);
    expect((await rejected()).toSorted()).toEqual([...FAULTS, TOO_OLD].toSorted());
    await page.getByText('1 row is older than the service accepts').waitFor();
    await page
      .getByText(`npx tidemark import usage.csv --tenant ${tenant.id} --map`, { exact: false })
      .waitFor();
    const rows = fileOf()
      .split('\r\n')
      .slice(1, -1)
      .map((line) => line.split(';'));
    const good = rows.filter((_, i) => ![10, 5_000, 5_001, 9_998, 9_999, 10_000, 11_000].includes(i));
    const sum = (column: number) => good.reduce((total, row) => total + Number(row[column]), 0);
    const units = good.reduce((total, row) => total + BigInt(row[5]!.replace('.', '')), 0n);
    const counts = {
      events: COUNTED,
      ids: COUNTED,
      value: `${units / 10n ** 18n}.${String(units % 10n ** 18n).padStart(18, '0')}`,
      input: sum(3),
      output: sum(4),
    };
    expect(await stored(tenant)).toEqual(counts);
    const usage = await site.call('GET', `/v1/usage?granularity=1d&from=${at(ROWS)}&to=${at(-60)}`, {
      key: tenant.key,
    });
    const total = (name: string) =>
      usage.data.reduce((sum: number, point: Record<string, number>) => sum + point[name]!, 0);
    expect([total('calls'), total('inputTokens'), total('outputTokens')]).toEqual([
      COUNTED,
      counts.input,
      counts.output,
    ]);
    const [kept] = await site.rows(
      `select metadata from event where tenant_id = $1 and customer_id = 'customer-1' order by ts desc limit 1`,
      [tenant.id],
    );
    expect(kept.metadata).toEqual({ team: 'core; "1"' });

    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'CSV of all' }).click();
    const saved = await download;
    expect(saved.suggestedFilename()).toBe('rejected-usage.csv');
    const lines = (await readFile(await saved.path(), 'utf8')).trimEnd().split('\n');
    expect(lines[0]).toBe(`line,pointer,code,message,${HEADER.replaceAll(';', ',')}`);
    expect(
      lines
        .slice(1)
        .map((line) => line.split(',', 3))
        .toSorted(),
    ).toEqual([...FAULTS, TOO_OLD].toSorted());
    expect(lines.find((line) => line.startsWith('5003,'))).toContain(',-1,');

    // Again, compressed and under another name: its rows are what they were.
    await choose(visitor, gzipSync(fileOf()), 'renamed.csv.gz');
    await mapped(visitor);
    await imported(visitor);
    expect(await figures()).toEqual(['12,000', '0', COUNTED.toLocaleString('en'), '7']);
    expect(await stored(tenant)).toEqual(counts);
  });

  it('makes the ids that tidemark import makes', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const content = `${HEADER}\n${at(1)};acme;/v1/chat;1;2;0.5;a\n${at(2)};acme;/v1/chat;3;4;;"b\n"\n`;
    const visitor = await console.visit('/console/import', { key: tenant.key });
    await visitor.ready('Import');
    await choose(visitor, content);
    await mapped(visitor);
    await imported(visitor);
    expect(await visitor.stat('Accepted')).toBe('2');
    const map =
      'timestamp=when,customerId=user,apiEndpoint=path,inputTokens=prompt_tokens,outputTokens=completion_tokens,value=amount';
    const flags = [
      '--tenant',
      tenant.id,
      '--delimiter',
      ';',
      '--map',
      map,
      '--metadata',
      'team',
      '--format',
      'csv',
    ];
    const path = join(await runFolder(), `console-${tenant.id}-${randomUUID()}.csv`);
    await writeFile(path, content);
    const program = runProgram(['import', path, ...flags], { DATABASE_URL: site.database.url });
    await program.exited;
    expect(program.stdout()).toMatch(/stored +0\n +duplicates +2\n/);
    expect(await stored(tenant)).toMatchObject({ events: 2 });
  });

  it('pauses, waits for a service that is away, and goes on where it was', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const visitor = await console.visit('/console/import', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Import');
    await choose(visitor, fileOf());
    await mapped(visitor);
    visitor.allow(/ERR_CONNECTION|ERR_EMPTY_RESPONSE|status of 503/);
    await site.stop();
    await imported(visitor, 'it is tried again');
    await page.getByRole('alert').getByText('unreachable').waitFor();
    expect(await visitor.stat('Accepted')).toBe('0');
    await site.start();
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByText('Done.').waitFor({ timeout: 180_000 });
    expect(await visitor.stat('Accepted')).toBe(COUNTED.toLocaleString('en'));
    expect(await stored(tenant)).toMatchObject({ events: COUNTED });
  });

  it('is cancelled, and what was sent is stored', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const visitor = await console.visit('/console/import', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Import');
    await choose(visitor, fileOf());
    await mapped(visitor);
    // The second batch is held back until the import is paused.
    let requests = 0;
    let letGo = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    await page.route('**/v1/events?*', async (route) => {
      if (++requests === 2) await held;
      await route.continue();
    });
    await page.getByRole('button', { name: 'Import', exact: true }).click();
    await expect.poll(() => requests, { timeout: 90_000 }).toBe(2);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('Paused').waitFor();
    letGo();
    await expect.poll(async () => (await stored(tenant)).events, { timeout: 90_000 }).toBeGreaterThan(5_000);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('Cancelled: what was sent is stored').waitFor();
    expect(requests).toBe(2);
    const { events } = await stored(tenant);
    expect(await visitor.stat('Accepted')).toBe(events.toLocaleString('en'));
  });

  it('does not begin where a file cannot be read, and says why', async () => {
    const { key } = await console.site.tenant(['ingest']);
    const visitor = await console.visit('/console/import', { key, width: 380 });
    const { page } = visitor;
    await visitor.ready('Import');
    const input = page.getByLabel('CSV file');
    await input.setInputFiles({
      name: 'a.csv',
      mimeType: 'text/csv',
      buffer: Buffer.from('\ufeffa,b\n', 'utf16le'),
    });
    await page.getByText('The file is UTF-16').waitFor();
    await input.setInputFiles({ name: 'b.csv', mimeType: 'text/csv', buffer: Buffer.from('') });
    await page.getByText('The file is empty').waitFor();
    await visitor.isAccessible();
    await choose(visitor, `when,user\n${at(1)},acme\n${at(2)},acme`);
    await page.getByLabel('What when is').selectOption('timestamp');
    await page.getByText('need an endpoint').waitFor();
    await page.getByLabel('Endpoint').last().fill('/v1/chat');
    await page.getByRole('button', { name: 'Dry run' }).focus();
    await page.keyboard.press('Enter');
    await page.getByText('The row of line 3 is left out').waitFor();
    expect(await visitor.stat('Are events')).toBe('1');
    await page.getByLabel('The file is whole').check();
    await imported(visitor);
    expect(await visitor.stat('Accepted')).toBe('2');
    await visitor.fits();
  });
});

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { freePort } from '../../src/ground/local/freePort.ts';
import { findChromium, launch } from '../../test/browser/support/chromium.ts';
import { runProgram } from '../../test/process/support/runProgram.ts';
import { smallerPng } from './smallerPng.ts';

/*
 * npm run docs:console: the pictures of docs/console.md, of a service with traffic of `tidemark seed`. With names of
 * pages it makes those alone: npm run docs:console -- now usage
 */

const FOLDER = fileURLToPath(new URL('../console/', import.meta.url));
/** Of the traffic that is there beforehand: the pages show a day, and compare it with the one before. */
const HISTORY = '50h';
const TENANT = 'northwind';
const DAY_MS = 86_400_000;

interface Picture {
  page: string;
  /** Below /console. */
  path: string;
  /** Besides light: where the two show something that light does not. */
  also?: ('dark' | 'narrow')[];
  /** Which route of the service it is about; without it there is no picture. */
  route?: string;
  /** Until it shows what it is to show. */
  until?: (page: Page) => Promise<unknown>;
}

/** Subscriptions, each to a path of its own. */
const HOOKS = {
  billing: ['window.closed', 'window.revised'],
  operations: ['usage.threshold', 'alert.triggered'],
};

const PICTURES: Picture[] = [
  {
    page: 'now',
    path: `now?tenant=${TENANT}`,
    also: ['dark', 'narrow'],
    until: (page) => page.waitForTimeout(20_000),
  },
  {
    page: 'usage',
    path: `usage?tenant=${TENANT}&by=model&granularity=1h&compare=1`,
    also: ['dark', 'narrow'],
    until: (page) => page.getByRole('button', { name: 'Before' }).waitFor(),
  },
  {
    page: 'meters',
    path: `meters?tenant=${TENANT}`,
    until: (page) => page.locator('tbody .spark').last().waitFor(),
  },
  {
    page: 'new-meter',
    path: `meters?tenant=${TENANT}&new=1`,
    until: async (page) => {
      await page.getByRole('button', { name: 'api.request' }).click();
      const row = (path: string) => page.getByRole('row', { name: path });
      await row('$.outputTokens').getByRole('button', { name: 'measure' }).click();
      await row('$.model').getByRole('button', { name: 'group by' }).click();
      await page.getByRole('columnheader', { name: 'model' }).waitFor();
    },
  },
  {
    page: 'rules',
    path: `rules?tenant=${TENANT}`,
    until: (page) => page.waitForTimeout(3_000),
  },
  { page: 'customers', path: `customers?tenant=${TENANT}&by=tokens`, also: ['narrow'] },
  { page: 'customer', path: `customers/customer-01?tenant=${TENANT}` },
  { page: 'windows', path: `windows?tenant=${TENANT}`, also: ['narrow'] },
  {
    page: 'events',
    path: `events?tenant=${TENANT}&paused=1`,
    until: async (page) => {
      await page.getByRole('rowheader').first().waitFor();
      await page.locator('tbody a').first().click();
      await page.getByRole('heading', { name: 'What meters make of it' }).waitFor();
    },
  },
  { page: 'deliveries', path: `deliveries?tenant=${TENANT}` },
  { page: 'tenants', path: 'tenants' },
  { page: 'keys', path: `keys?tenant=${TENANT}` },
  { page: 'audit', path: `audit?tenant=${TENANT}` },
  {
    page: 'backfills',
    path: `import?tenant=${TENANT}&tab=backfills`,
    route: '/v1/backfills',
    until: async (page) => {
      await page.locator('tbody a').first().click();
      await page.getByRole('heading', { name: 'What closing it would change' }).waitFor();
    },
  },
  {
    page: 'import',
    path: `import?tenant=${TENANT}`,
    until: async (page) => {
      const lines = Array.from({ length: 400 }, (_, i) => {
        const at = new Date(Date.now() - i * 60_000).toISOString();
        return `${at},customer-0${i % 9},/v1/chat,${i % 50 === 7 ? 'many' : i * 3},eu`;
      });
      const text = ['time,customer,path,tokens,region', ...lines].join('\n');
      const file = { name: 'gateway.csv', mimeType: 'text/csv', buffer: Buffer.from(`${text}\n`) };
      await page.getByLabel('CSV file').setInputFiles(file);
      await page.getByLabel('What region is').selectOption('(kept)');
      await page.getByRole('button', { name: 'Dry run' }).click();
      await page.getByText('nothing was sent').waitFor();
      await page
        .getByText('A dry run reads all rows')
        .evaluate((text) => text.scrollIntoView({ block: 'center' }));
    },
  },
];

const executable = findChromium();
if (executable === null) process.exit(1);
const wanted = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), 'tidemark-pictures-'));
const receiver = createServer((_, answer) => answer.writeHead(204).end());
await new Promise<void>((done) => receiver.listen(0, '127.0.0.1', done));
const hooks = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
const port = await freePort();
const service = runProgram(['serve'], {
  DATA_DIR: folder,
  PORT: String(port),
  EMBEDDED_PG_PORT: String(await freePort()),
  LOG_LEVEL: 'error',
  WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8',
});
try {
  await mkdir(FOLDER, { recursive: true });
  const [adminKey] = await service.says(/Admin key (\S+)/, 180_000);
  const address = `http://127.0.0.1:${port}`;
  const seeding = { ADMIN_KEY: adminKey!, TIDEMARK_URL: address };
  const history = runProgram(['seed', '--backfill', HISTORY, '--duration', '0s', '--rate', '0.2'], seeding);
  if ((await history.exited) !== 0) throw new Error(history.stderr());
  const traffic = runProgram(['seed', '--duration', '1h', '--rate', '20'], seeding);
  for (const [name, messageTypes] of Object.entries(HOOKS)) {
    const body = { url: `${hooks}/${name}`, messageTypes, description: `for ${name}` };
    await post(address, adminKey!, '/v1/subscriptions', body);
  }
  const { paths } = await (await fetch(`${address}/openapi.json`)).json();
  await administrate(address, adminKey!);
  if ('/v1/backfills' in paths) await stage(address, adminKey!);
  const browser = await launch(executable);
  for (const { page: name, path, also = [], route, until } of PICTURES) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    if (route !== undefined && !(route in paths)) continue;
    for (const look of ['light', ...also] as const) {
      const context = await browser.newContext({
        viewport: look === 'narrow' ? { width: 380, height: 760 } : { width: 1_200, height: 760 },
        colorScheme: look === 'dark' ? 'dark' : 'light',
        timezoneId: 'UTC',
      });
      const page = await context.newPage();
      await page.addInitScript((key) => sessionStorage.setItem('tidemark.key', key), adminKey!);
      await page.goto(`${address}/console/${path}`);
      await page.waitForSelector('main h1');
      await page.waitForFunction(() => !document.querySelector('main [aria-busy="true"], main .wait'));
      await until?.(page);
      await writeFile(join(FOLDER, `${name}-${look}.png`), smallerPng(await page.screenshot()));
      await context.close();
    }
  }
  await browser.close();
  traffic.child.kill('SIGTERM');
  await traffic.exited;
} finally {
  service.child.kill('SIGTERM');
  await service.exited;
  receiver.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

/** Keys and changes to look at. */
async function administrate(address: string, key: string): Promise<void> {
  const made = [];
  for (const scopes of [['ingest'], ['read'], ['read', 'correct'], ['admin']]) {
    made.push(await post(address, key, '/v1/keys', { tenantId: TENANT, scopes }));
  }
  await post(address, key, `/v1/keys/${made[0]!.id}/rotate`, { overlapSeconds: 3_600 });
  const rule = { name: 'a day of calls', kind: 'usage', measure: 'calls', period: 'day', threshold: '5000' };
  await post(address, key, '/v1/alert-rules', rule);
}

/** A backfill of three hours of yesterday, with events that wait in it. */
async function stage(address: string, key: string): Promise<void> {
  const from = Math.floor(Date.now() / DAY_MS - 1) * DAY_MS;
  const [start, end] = [from, from + 3 * 3_600_000].map((at) => new Date(at).toISOString());
  const reason = 'the gateway lost three hours';
  const body = { from: start, to: end, customers: ['customer-01'], replace: true, reason };
  const { id } = await post(address, key, '/v1/backfills', body);
  const events = Array.from({ length: 90 }, (_, i) => ({
    eventId: `again-${i}`,
    timestamp: new Date(from + i * 120_000).toISOString(),
    customerId: 'customer-01',
    apiEndpoint: '/v1/chat',
    metadata: { model: 'gpt-4o', inputTokens: 400 + i, outputTokens: 80 },
  }));
  await post(address, key, `/v1/events?backfill=${id}`, events);
}

/** Makes something of the tenant's. @returns what the service says of it. */
async function post(address: string, key: string, path: string, body: object): Promise<{ id: string }> {
  const headers = {
    Authorization: `Bearer ${key}`,
    'X-Tenant-Id': TENANT,
    'Content-Type': 'application/json',
  };
  const answer = await fetch(address + path, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

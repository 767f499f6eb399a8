import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
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

interface Picture {
  page: string;
  /** Below /console. */
  path: string;
  /** Besides light: where the two show something that light does not. */
  also?: ('dark' | 'narrow')[];
  /** Until it shows what it is to show. */
  until?: (page: Page) => Promise<unknown>;
}

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
  },
  { page: 'meters', path: `meters?tenant=${TENANT}` },
  {
    page: 'new-meter',
    path: `meters?tenant=${TENANT}&new=1`,
    also: ['dark', 'narrow'],
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
    also: ['dark', 'narrow'],
    until: (page) => page.waitForTimeout(3_000),
  },
  { page: 'customers', path: `customers?tenant=${TENANT}&by=tokens`, also: ['dark', 'narrow'] },
  { page: 'customer', path: `customers/customer-01?tenant=${TENANT}` },
];

const executable = findChromium();
if (executable === null) process.exit(1);
const wanted = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), 'tidemark-pictures-'));
const port = await freePort();
const service = runProgram(['serve'], {
  DATA_DIR: folder,
  PORT: String(port),
  EMBEDDED_PG_PORT: String(await freePort()),
  LOG_LEVEL: 'error',
});
try {
  await mkdir(FOLDER, { recursive: true });
  const [adminKey] = await service.says(/Admin key (\S+)/);
  const address = `http://127.0.0.1:${port}`;
  const seeding = { ADMIN_KEY: adminKey!, TIDEMARK_URL: address };
  const history = runProgram(['seed', '--backfill', HISTORY, '--duration', '0s', '--rate', '1'], seeding);
  if ((await history.exited) !== 0) throw new Error(history.stderr());
  const traffic = runProgram(['seed', '--duration', '1h', '--rate', '20'], seeding);
  const browser = await launch(executable);
  for (const { page: name, path, also = [], until } of PICTURES) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
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
  await rm(folder, { recursive: true, force: true });
}

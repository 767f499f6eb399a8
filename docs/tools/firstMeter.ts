import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Locator, Page } from 'playwright-core';
import { freePort } from '../../src/ground/local/freePort.ts';
import { findChromium, launch } from '../../test/browser/support/chromium.ts';
import { runProgram } from '../../test/process/support/runProgram.ts';

/*
 * npm run docs:first-meter: how long it takes from the start of a service without data to a meter that counts, with the
 * mouse alone. It is no person: it reads for a second before each click (five at the preview), takes most of a second to
 * move there, and knows where to go. What it prints stands in docs/console.md.
 */

const READ_MS = 1_000;
const STUDY_MS = 5_000;
/** Of a movement of the mouse: so many steps, and so long each. */
const [STEPS, STEP_MS] = [30, 25];

const executable = findChromium();
if (executable === null) process.exit(1);
const folder = await mkdtemp(join(tmpdir(), 'tidemark-first-meter-'));
const started = performance.now();
let last = started;
const service = runProgram(['serve'], {
  DATA_DIR: folder,
  PORT: String(await freePort()),
  EMBEDDED_PG_PORT: String(await freePort()),
  LOG_LEVEL: 'error',
});
try {
  const [link] = await service.says(/Console +(http\S+)/, 180_000);
  took('the service has started');
  const browser = await launch(executable);
  const page = await browser.newPage({ viewport: { width: 1_280, height: 900 } });
  await page.waitForTimeout(READ_MS);
  last = performance.now(); // a browser is there beforehand
  await page.goto(link!);
  await page.locator('main h1').waitFor();
  took('the link that it prints is opened');
  const pages = page.getByRole('navigation', { name: 'Pages' });
  await click(page, pages.getByRole('link', { name: 'Meters' }), '*Meters*');
  await click(page, page.getByRole('link', { name: 'Make a meter' }).first(), '*Make a meter*');
  await click(page, page.getByRole('button', { name: 'Send 20 examples' }), '*Send 20 examples*');
  const row = (path: string) => page.getByRole('row', { name: path });
  await click(page, row('$.gb').getByRole('button', { name: 'measure' }), '*measure* at `$.gb`');
  await click(page, row('$.region').getByRole('button', { name: 'group by' }), '*group by* at `$.region`');
  await page.getByText('1 not a number').waitFor();
  await page.waitForTimeout(STUDY_MS);
  took('the preview is read');
  await click(page, page.getByRole('button', { name: 'Make the meter' }), '*Make the meter*');
  await page.getByRole('heading', { level: 1, name: 'egress_gb' }).waitFor();
  await page.locator('.stat', { hasText: 'Value' }).getByText('50.5').waitFor();
  took('it has counted 50.5');
  console.log(`| in all | ${seconds(performance.now() - started)} |`);
  await browser.close();
} finally {
  service.child.kill('SIGTERM');
  await service.exited;
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

/** Reads, moves there and clicks, as somebody does. */
async function click(page: Page, where: Locator, what: string): Promise<void> {
  await where.scrollIntoViewIfNeeded();
  await page.waitForTimeout(READ_MS);
  const { x, y, width, height } = (await where.boundingBox())!;
  for (let step = 1; step <= STEPS; step++) {
    await page.mouse.move(x + width / 2, y + height / 2 + (STEPS - step) * 5);
    await page.waitForTimeout(STEP_MS);
  }
  await page.mouse.click(x + width / 2, y + height / 2);
  took(what);
}

function took(what: string): void {
  const now = performance.now();
  console.log(`| ${what} | ${seconds(now - last)} |`);
  last = now;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser } from 'playwright-core';
import { WINDOW_MS } from '../../src/model/window.ts';
import { findChromium, launch } from '../../test/browser/support/chromium.ts';
import { customerIds, makeEvent, seededRandom } from '../load/workload.ts';
import { storeHistory } from '../services/storedHistory.ts';
import { interruption } from '../support/interruption.ts';
import { median } from '../support/percentiles.ts';
import type { BenchServer } from '../support/servers.ts';
import { figure, table } from '../support/table.ts';

const EVENTS = 500_000;
const HISTORY_MS = 26 * 3_600_000;
const CUSTOMERS = customerIds(1_000);
const PAGES = ['now', 'usage', 'customers', 'windows', 'events'] as const;
const READY_MS = 60_000;
const ASKED_EVERY_MS = 5;

type Page = (typeof PAGES)[number];

/** From the navigation until the page has what it shows, in ms, in each round. */
export type Pages = Record<Page, number[]>;

/**
 * How long it takes until a page of the console is of use, in a browser that has nothing of it yet: half a million events of
 * 1,000 customers in the 26 hours before.
 *
 * @returns null where there is no Chromium, which is said loudly.
 */
export async function measurePages(
  server: BenchServer,
  folder: string,
  rounds: number,
): Promise<Pages | null> {
  const chromium = findChromium();
  if (chromium === null) return null;
  const to = Math.floor(Date.now() / WINDOW_MS) * WINDOW_MS;
  const random = seededRandom(1);
  const history = await storeHistory(
    server,
    {
      ...{ events: EVENTS, from: to - HISTORY_MS, to },
      change: (event) => makeEvent(random, event.eventId, event.tsMicros, CUSTOMERS),
    },
    folder,
  );
  const measured: Pages = { now: [], usage: [], customers: [], windows: [], events: [] };
  const problems: string[] = [];
  try {
    const browser = await launch(chromium);
    try {
      const address = `http://127.0.0.1:${history.service.port}/console/`;
      for (let round = 0; round < rounds; round++) {
        for (const page of PAGES) {
          interruption.throwIfAborted();
          measured[page].push(await untilOfUse(browser, address + page, history.service.key));
        }
      }
    } finally {
      await browser.close();
    }
  } finally {
    problems.push(...(await history.end()));
  }
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return measured;
}

/** Its heading is there, and nothing in it waits for an answer any more. */
async function untilOfUse(browser: Browser, url: string, key: string): Promise<number> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  try {
    const page = await context.newPage();
    await page.addInitScript(`sessionStorage.setItem('tidemark.key', ${JSON.stringify(key)})`);
    const began = performance.now();
    await page.goto(url);
    await page.locator('main h1').waitFor({ timeout: READY_MS });
    const waits = page.locator('main [aria-busy="true"], main .wait');
    while ((await waits.count()) > 0) {
      if (performance.now() - began > READY_MS) throw new Error(`${url} still waits after ${READY_MS} ms`);
      await sleep(ASKED_EVERY_MS);
    }
    return performance.now() - began;
  } finally {
    await context.close();
  }
}

/** Medians and the worst over the rounds. The first round has what the server has not cached. */
export function pagesTable(pages: Pages): string {
  const rows = Object.entries(pages).map(([page, times]) => [
    page,
    figure(times[0]!),
    figure(median(times)),
    figure(Math.max(...times)),
  ]);
  return table(['page', 'first, ms', 'median, ms', 'most, ms'], rows);
}

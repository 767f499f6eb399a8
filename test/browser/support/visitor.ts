import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { expect } from 'vitest';
import type { Site } from './site.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Waiting for what is to appear: a machine may be slow. */
const WAIT_MS = 90_000;

export interface Visit {
  /** null: the form that asks for one is shown. */
  key?: string | null;
  width?: number;
  height?: number;
  scheme?: 'light' | 'dark';
  zone?: string;
  /** Default: that of the file. */
  of?: Site;
}

/** A browser's window on the console, which notes everything that goes wrong in it. */
export class Visitor {
  readonly page: Page;
  readonly site: Site;
  private readonly context: BrowserContext;
  private readonly faults: string[] = [];
  private allowed: RegExp[] = [];

  private constructor(site: Site, context: BrowserContext, page: Page) {
    this.site = site;
    this.context = context;
    this.page = page;
    page.setDefaultTimeout(WAIT_MS);
    page.on('pageerror', (error) => this.faults.push(`error: ${error.stack ?? error.message}`));
    page.on('crash', () => this.faults.push('the page has crashed'));
    page.on('console', (message) => {
      // Violations of the policy are among the errors.
      if (message.type() === 'error' || message.type() === 'warning')
        this.faults.push(`console: ${message.text()} ${message.location().url}`);
    });
  }

  /** Opens a page of the console: `/console/usage?range=1h`. */
  static async open(browser: Browser, site: Site, path: string, visit: Visit = {}): Promise<Visitor> {
    const { key = null, width = 1280, height = 900, scheme = 'light', zone = 'UTC' } = visit;
    const context = await browser.newContext({
      viewport: { width, height },
      colorScheme: scheme,
      timezoneId: zone,
      acceptDownloads: true,
    });
    const page = await context.newPage();
    if (key !== null) {
      // As if it had been typed before, in this tab.
      await page.addInitScript((typed) => {
        if (sessionStorage.getItem('told') !== null) return;
        sessionStorage.setItem('told', '');
        sessionStorage.setItem('tidemark.key', typed);
      }, key);
    }
    const visitor = new Visitor(site, context, page);
    await page.goto(site.address + path);
    return visitor;
  }

  /** What is to go wrong from now on, and is no fault: `/401/`. */
  allow(...patterns: RegExp[]): void {
    this.allowed.push(...patterns);
  }

  /** Cells of a table by its label, head first, as they are read. */
  async table(label: string): Promise<string[][]> {
    const table = this.page.getByRole('region', { name: label, exact: true }).locator('table');
    await table.waitFor();
    return table.evaluate((shown: HTMLTableElement) =>
      [...shown.rows].map((row) => [...row.cells].map((cell) => cell.textContent!.trim())),
    );
  }

  /** The figure with this name: its value as it is read. */
  async stat(label: string): Promise<string> {
    const shown = this.page.locator('.stat', {
      has: this.page.locator('dt', { hasText: new RegExp(`^${label}$`) }),
    });
    return (await shown.locator('dd > b').innerText()).trim();
  }

  /** The page is of use: its heading is there, and nothing in it waits for an answer any more. */
  async ready(heading: string | RegExp): Promise<void> {
    await this.page.getByRole('heading', { level: 1, name: heading }).waitFor();
    await this.page.waitForFunction(
      () => document.querySelector('main [aria-busy="true"], main .wait') === null,
      undefined,
      { timeout: WAIT_MS },
    );
  }

  /** Fails where axe-core finds something in the page as it is shown now, light and dark, or where it does not fit. */
  async isAccessible(): Promise<void> {
    for (const scheme of ['light', 'dark'] as const) {
      await this.page.emulateMedia({ colorScheme: scheme });
      await this.page.evaluate(AXE);
      const found = await this.page.evaluate(async () => {
        const { axe } = window as unknown as {
          axe: { run(options: object): Promise<{ violations: Violation[] }> };
        };
        const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
        const { violations } = await axe.run({ runOnly: { type: 'tag', values: tags } });
        return violations.map(
          ({ id, help, nodes }) =>
            `${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 200)).join(' | ')}`,
        );
      });
      expect([scheme, ...found]).toEqual([scheme]);
    }
    await this.page.emulateMedia({ colorScheme: 'light' });
  }

  /** Fails where the page is wider than its window, here and at 380 px. */
  async fits(): Promise<void> {
    const { width, height } = this.page.viewportSize()!;
    for (const narrow of [width, 380]) {
      await this.page.setViewportSize({ width: narrow, height });
      const over = () =>
        this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      await expect.poll(over, { message: `wider than ${narrow} px`, timeout: 5_000 }).toBe(0);
    }
    await this.page.setViewportSize({ width, height });
  }

  /** Closes the window, and fails where something has gone wrong in it. */
  async close(): Promise<void> {
    await this.context.close();
    const faults = this.faults.splice(0);
    expect(faults.filter((fault) => !this.allowed.some((pattern) => pattern.test(fault)))).toEqual([]);
  }
}

interface Violation {
  id: string;
  help: string;
  nodes: { html: string }[];
}

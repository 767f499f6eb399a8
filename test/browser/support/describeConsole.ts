import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import { buildProgram } from '../../support/buildProgram.ts';
import { describeEngine } from '../../support/database.ts';
import { findChromium, launch } from './chromium.ts';
import { Site } from './site.ts';
import { type Visit, Visitor } from './visitor.ts';

/** A browser and a service beside other tests, on a machine that may be slow. */
const TEST_MS = 180_000;
const executable = findChromium();

/** What a file of tests of the console has. */
export interface Console {
  site: Site;
  /** Opens a page in a window of its own; what goes wrong in it by the end of the test fails it. */
  visit(path: string, visit?: Visit): Promise<Visitor>;
}

/**
 * `describe` for the console in a browser, on both engines: a service of the file's own, and a Chromium. Skipped,
 * loudly, where there is none.
 *
 * @param env further settings of the service.
 */
export function describeConsole(
  name: string,
  tests: (console: Console) => void,
  env: Record<string, string> = {},
): void {
  describe.skipIf(executable === null)('in a browser', { timeout: TEST_MS }, () => {
    describeEngine(name, () => {
      let browser: Browser;
      let open: Visitor[] = [];
      const told = {
        visit: async (path: string, visit?: Visit) => {
          const visitor = await Visitor.open(browser, visit?.of ?? told.site, path, visit);
          open.push(visitor);
          return visitor;
        },
      } as Console;

      beforeAll(async () => {
        await buildProgram();
        [told.site, browser] = await Promise.all([Site.open(env), launch(executable!)]);
      });
      afterEach(async () => {
        const visitors = open;
        open = [];
        for (const visitor of visitors) await visitor.close();
      });
      afterAll(async () => {
        await browser?.close();
        await told.site?.close();
      });
      tests(told);
    });
  });
}

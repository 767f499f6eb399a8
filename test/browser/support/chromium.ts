import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];

/**
 * A browser for the tests: CHROMIUM_PATH, else one of PATH or of /usr/bin.
 *
 * @returns its path; null where there is none, which is said loudly.
 */
export function findChromium(env: NodeJS.ProcessEnv = process.env): string | null {
  const folders = [...(env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin'];
  const usual = folders.flatMap((folder) => NAMES.map((name) => join(folder, name)));
  const found = (env.CHROMIUM_PATH ? [env.CHROMIUM_PATH] : usual).find(runs);
  if (found !== undefined) return found;
  console.warn(
    [
      '',
      '  ############################################################################',
      '  #  NO CHROMIUM: the tests of the console in a browser are NOT run.          #',
      '  #  Install it (apt-get install chromium), or set CHROMIUM_PATH.             #',
      '  ############################################################################',
      '',
    ].join('\n'),
  );
  return null;
}

function runs(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @param executablePath what `findChromium` has found. */
export function launch(executablePath: string): Promise<Browser> {
  // Containers have neither a sandbox for it nor much shared memory.
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  });
}

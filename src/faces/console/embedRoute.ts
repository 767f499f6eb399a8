import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TidemarkError } from '../../model/errors.ts';
import type { App } from '../http/appEnv.ts';
import { answerAsset } from './answerAsset.ts';
import { type Asset, asset } from './assets.ts';
import { BUNDLED } from './consoleRoutes.ts';

/** Pages of others ask for it with each of their visitors: for an hour, not again. */
const KEPT = 'public, max-age=3600';

/**
 * `/console/embed.js`: the element `<tidemark-usage>`, for pages of any origin. It has nothing of anybody: what it shows
 * it asks for with a portal token, which only pages of CORS_ORIGINS can. So it is there with and without the console.
 *
 * @param folder of the bundled page; read with the first request after it has been built.
 */
export function embedRoute(app: App, folder = BUNDLED): void {
  let script: Asset | null = null;
  app.get('/console/embed.js', (c) => {
    script ??= readScript(folder);
    if (script === null) {
      throw new TidemarkError('not_found', 'the element has not been built here: npm run build does it');
    }
    c.header('Cross-Origin-Resource-Policy', 'cross-origin');
    c.header('Access-Control-Allow-Origin', '*'); // as a module, or with a checksum, it is asked for by CORS
    return answerAsset(c, script, KEPT);
  });
}

/** @returns null where it has not been built. */
function readScript(folder: string): Asset | null {
  try {
    return asset(readFileSync(join(folder, 'embed/embed.js')), 'text/javascript; charset=utf-8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

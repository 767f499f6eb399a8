import { fileURLToPath } from 'node:url';
import type { Context } from 'hono';
import { TidemarkError } from '../../model/errors.ts';
import type { App, AppEnv } from '../http/appEnv.ts';
import type { Services } from '../http/services.ts';
import { answerAsset } from './answerAsset.ts';
import { asset, readAssets } from './assets.ts';
import { codeRoute } from './codeRoute.ts';
import { CONSOLE_PAGE, CONSOLE_POLICY } from './consolePage.ts';

/** What `npm run build` makes of src/faces/console/page. */
export const BUNDLED = fileURLToPath(new URL('../../../dist/faces/console/page/', import.meta.url));

const HTML = 'text/html; charset=utf-8';
/** Kept, and asked for again whenever it is needed: the answer is 304 while nothing has changed. */
const REVALIDATED = 'no-cache';

/**
 * The console: one document for every page of it, and the files that it loads, all from memory; and `POST /console/code`.
 *
 * @param folder of the bundled page; read now, or with the first request after it has been built.
 */
export function consoleRoutes(
  app: App,
  services: Pick<Services, 'demoCode' | 'wrongKeys' | 'trustedProxies'>,
  folder = BUNDLED,
): void {
  codeRoute(app, services);
  let assets = readAssets(folder);
  const requireAssets = () => {
    assets ??= readAssets(folder);
    if (assets === null) {
      throw new TidemarkError('not_found', 'the console has not been built here: npm run build does it');
    }
    return assets;
  };
  const document = asset(Buffer.from(CONSOLE_PAGE), HTML);
  app.get('/console/assets/:file{.+}', (c) => {
    const file = requireAssets().get(c.req.param('file'));
    return file === undefined ? c.notFound() : answerAsset(c, file, REVALIDATED);
  });
  const page = (c: Context<AppEnv>) => {
    const [, , name = ''] = c.req.path.split('/');
    if (name === 'assets') return c.notFound();
    requireAssets();
    c.header('Content-Security-Policy', CONSOLE_POLICY);
    return answerAsset(c, document, REVALIDATED);
  };
  app.get('/console', page);
  app.get('/console/', page);
  // A page's name is one of small letters; what else is asked for below /console is there or not by itself.
  app.get('/console/:page{[a-z]+}', page);
  app.get('/console/:page{[a-z]+}/:rest{.*}', page);
}

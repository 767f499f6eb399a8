import { fileURLToPath } from 'node:url';
import type { Context } from 'hono';
import { TidemarkError } from '../../model/errors.ts';
import type { App, AppEnv } from '../http/appEnv.ts';
import { requestHeader } from '../http/nodeHttp.ts';
import type { Services } from '../http/services.ts';
import { type Asset, asset, readAssets } from './assets.ts';
import { codeRoute } from './codeRoute.ts';
import { CONSOLE_POLICY, consolePage } from './consolePage.ts';
import { moduleGraph } from './moduleGraph.ts';

/** What `npm run build` makes of src/faces/console/page, whether this file has been compiled or not. */
const COMPILED = fileURLToPath(new URL('../../../dist/faces/console/page/', import.meta.url));

const HTML = 'text/html; charset=utf-8';
/** Kept, and asked for again whenever it is needed: the answer is 304 while nothing has changed. */
const REVALIDATED = { 'Cache-Control': 'no-cache', Vary: 'Accept-Encoding' };

/**
 * The console: one document for every page of it, and the files that it loads, all from memory; and `POST /console/code`.
 *
 * @param folder of the compiled page; read now, or with the first request after it has been built.
 */
export function consoleRoutes(
  app: App,
  services: Pick<Services, 'demoCode' | 'wrongKeys' | 'trustedProxies'>,
  folder = COMPILED,
): void {
  codeRoute(app, services);
  let site = openSite(folder);
  const requireSite = () => {
    site ??= openSite(folder);
    if (site === null) {
      throw new TidemarkError('not_found', 'the console has not been compiled here: npm run build does it');
    }
    return site;
  };
  app.get('/console/assets/:file{.+}', (c) => {
    const file = requireSite().assets.get(c.req.param('file'));
    return file === undefined ? c.notFound() : answer(c, file);
  });
  const page = (c: Context<AppEnv>) => {
    const [, , name = ''] = c.req.path.split('/');
    if (name === 'assets') return c.notFound();
    const document = requireSite().page(name);
    c.header('Content-Security-Policy', CONSOLE_POLICY);
    return answer(c, document);
  };
  app.get('/console', page);
  app.get('/console/', page);
  // A page's name is one of small letters; what else is asked for below /console is there or not by itself.
  app.get('/console/:page{[a-z]+}', page);
  app.get('/console/:page{[a-z]+}/:rest{.*}', page);
}

interface Site {
  assets: ReadonlyMap<string, Asset>;
  /** The document, with what the page of this name needs; of any name. */
  page(name: string): Asset;
}

/** @returns null where there is no compiled page. */
function openSite(folder: string): Site | null {
  const assets = readAssets(folder);
  if (assets === null) return null;
  const read = (path: string) => assets.get(path)?.bytes.toString();
  const documentOf = (entries: string[]) =>
    asset(Buffer.from(consolePage(moduleGraph(['main.js', ...entries], read))), HTML);
  const others = documentOf([]);
  const pages = new Map<string, Asset>();
  for (const path of assets.keys()) {
    const name = /^pages\/([a-z]+)\/\w+Page\.js$/.exec(path)?.[1];
    if (name !== undefined) pages.set(name, documentOf([path]));
  }
  return { assets, page: (name) => pages.get(name) ?? others };
}

function answer(c: Context<AppEnv>, { type, bytes, zipped, tag }: Asset): Response {
  const zip = takesGzip(requestHeader(c, 'accept-encoding'));
  const etag = zip ? `"${tag}-gzip"` : `"${tag}"`;
  for (const [name, value] of Object.entries(REVALIDATED)) c.header(name, value);
  c.header('ETag', etag);
  if (isKnown(requestHeader(c, 'if-none-match'), etag)) return c.body(null, 304);
  c.header('Content-Type', type);
  if (zip) c.header('Content-Encoding', 'gzip');
  const body = zip ? zipped : bytes;
  c.header('Content-Length', String(body.length));
  return c.body(new Uint8Array(body), 200);
}

/** By RFC 9110 §12.5.3: named, or by `*`, and not with a weight of 0. */
function takesGzip(accepted = ''): boolean {
  const weights = new Map(
    accepted.split(',').map((entry) => {
      const [coding = '', ...parameters] = entry.toLowerCase().split(';');
      const q = parameters.map((text) => /^\s*q=([\d.]+)\s*$/.exec(text)?.[1]).find((found) => found);
      return [coding.trim(), Number(q ?? 1)];
    }),
  );
  return (weights.get('gzip') ?? weights.get('x-gzip') ?? weights.get('*') ?? 0) > 0;
}

/** By RFC 9110 §13.1.2: weakly compared. */
function isKnown(known: string | undefined, etag: string): boolean {
  if (known === undefined) return false;
  return known.split(',').some((entry) => ['*', etag].includes(entry.trim().replace(/^W\//, '')));
}

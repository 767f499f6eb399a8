import type { Context } from 'hono';
import type { AppEnv } from '../http/appEnv.ts';
import { requestHeader } from '../http/nodeHttp.ts';
import type { Asset } from './assets.ts';

/**
 * Answers with a file, zipped where that is taken, or with 304 where it is known.
 *
 * @param cacheControl how long it may be kept.
 */
export function answerAsset(
  c: Context<AppEnv>,
  { type, bytes, zipped, tag }: Asset,
  cacheControl: string,
): Response {
  const zip = takesGzip(requestHeader(c, 'accept-encoding'));
  const etag = zip ? `"${tag}-gzip"` : `"${tag}"`;
  c.header('Cache-Control', cacheControl);
  c.header('Vary', 'Accept-Encoding');
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

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join, sep } from 'node:path';
import { gzipSync } from 'node:zlib';

const TYPES: Partial<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.map': 'application/json',
};

/** A file as it is served: what it was when it was read. */
export interface Asset {
  type: string;
  bytes: Buffer;
  zipped: Buffer;
  /** Of its content, without quotes. */
  tag: string;
}

/**
 * Reads what is served, once: what was not there then is not served, whatever its path.
 *
 * @param folder of the compiled page.
 * @returns by the path below the folder; null where there is no compiled page.
 */
export function readAssets(folder: string): ReadonlyMap<string, Asset> | null {
  const assets = new Map<string, Asset>();
  for (const path of filesOf(folder)) {
    const type = TYPES[extname(path)];
    // What stands in pages of others is a file of its own: embedRoute.ts.
    if (type === undefined || path.startsWith(`embed${sep}`)) continue;
    assets.set(path.split(sep).join('/'), asset(readFileSync(join(folder, path)), type));
  }
  return assets.has('main.js') ? assets : null;
}

/** @param type its Content-Type. */
export function asset(bytes: Buffer, type: string): Asset {
  const tag = createHash('sha256').update(bytes).digest('base64url').slice(0, 22);
  return { type, bytes, zipped: gzipSync(bytes, { level: 9 }), tag };
}

function filesOf(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

import { deflateSync, gzipSync } from 'node:zlib';
import { type Family, post } from '../hostileRequest.ts';

const BOMB = gzipSync(Buffer.alloc(64 * 1_048_576));
const BOMB_OF_JSON = gzipSync(`[${'{},'.repeat(3_000_000)}{}]`);
const BOMB_IN_BOMB = gzipSync(BOMB);
const BOMB_OF_MEMBERS = Buffer.concat(
  Array.from({ length: 20 }, () => gzipSync(Buffer.alloc(1_048_576, 0x20))),
);

/** Gzip that is damaged, is none, or grows without measure. Bombs are rare: each costs the time to find out. */
export const compression: Family = (a) => {
  const gzip = { 'content-encoding': 'gzip' };
  if (a.turn % 25 === 0) return post(a, a.pick([BOMB, BOMB_OF_JSON, BOMB_IN_BOMB, BOMB_OF_MEMBERS]), gzip);
  const whole = gzipSync(JSON.stringify(a.event()));
  const at = Math.floor(a.random() * whole.length);
  const damaged = Buffer.from(whole);
  damaged[at] = Math.floor(a.random() * 256);
  const body = a.pick([
    whole.subarray(0, at),
    damaged,
    damaged,
    Buffer.concat([whole, whole]),
    Buffer.concat([whole, Buffer.from('trailing')]),
    gzipSync(whole),
    deflateSync('{}'),
    Buffer.from(JSON.stringify(a.event())),
    Buffer.alloc(0),
    whole.subarray(0, 10),
  ]);
  const encodings = [
    'gzip',
    'gzip',
    'gzip',
    'GZIP',
    'x-gzip',
    'deflate',
    'br',
    'zstd',
    'gzip, gzip',
    'identity',
    '',
    'gzip;q=1',
    '\tgzip',
  ];
  return post(a, body, { 'content-encoding': a.pick(encodings) });
};

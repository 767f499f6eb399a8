import { createHash } from 'node:crypto';

const SLUG = /^[a-z0-9]+(?:_[a-z0-9]+)*$/;
const MAX_SLUG = 64;
const DIGEST_CHARS = 12;

/**
 * The slug of a meter that is called by a name of others, which may be any text: the name itself where it is a slug,
 * else what of it is one and some digits of its SHA-256, so that two names are never one slug.
 */
export function slugOf(name: string): string {
  if (name.length <= MAX_SLUG && SLUG.test(name)) return name;
  const digest = createHash('sha256').update(name).digest('hex').slice(0, DIGEST_CHARS);
  const readable = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replaceAll(/^_+|_+$/g, '')
    .slice(0, MAX_SLUG - DIGEST_CHARS - 1)
    .replace(/_+$/, '');
  return readable === '' ? digest : `${readable}_${digest}`;
}

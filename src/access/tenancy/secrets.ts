import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

/** A new key: `tm_` and 256 random bits. */
export function generateKey(): string {
  return `tm_${randomBytes(32).toString('base64url')}`;
}

/** SHA-256: a key has 256 random bits, so a slow password hash would add nothing but its cost per request. */
export function hashKey(key: string): Buffer {
  return hash('sha256', key, 'buffer');
}

/** Compares two hashes in constant time. */
export function sameHash(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

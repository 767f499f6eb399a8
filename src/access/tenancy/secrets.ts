import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

/** A new key: `tm_` and 256 random bits. */
export function generateKey(): string {
  return `tm_${randomBytes(32).toString('base64url')}`;
}

/** What a portal token begins with, and no key does. */
export const PORTAL_PREFIX = 'tmp_';

/** A new portal token: `tmp_` and 256 random bits. */
export function generatePortalToken(): string {
  return `${PORTAL_PREFIX}${randomBytes(32).toString('base64url')}`;
}

/** By how it is written alone: whether there is such a token is another matter. */
export function isPortalToken(secret: string): boolean {
  return secret.startsWith(PORTAL_PREFIX);
}

/** SHA-256: a key has 256 random bits, so a slow password hash would add nothing but its cost per request. */
export function hashKey(key: string): Buffer {
  return hash('sha256', key, 'buffer');
}

/** Compares two hashes in constant time. */
export function sameHash(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

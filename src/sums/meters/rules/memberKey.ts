import { hash } from 'node:crypto';

/** What stands for a member of a set: the first 16 bytes of SHA-256 of its text in UTF-8. SQL has them as uuid. */
export function memberKey(text: string): Buffer {
  return hash('sha256', text, 'buffer').subarray(0, 16);
}

import { Redis, ReplyError } from 'ioredis';

/*
 * The one door to ioredis. Its decoder has a `class VerbatimString extends String`, and V8 then keeps String.prototype
 * as a dictionary: no optimized code of the process can inline `charCodeAt` or `length` any more, and whoever reads
 * texts letter by letter, as ingest does, takes four times as long (findings/ioredis6-slows-every-string-of-the-process.sh).
 */

export { Redis, ReplyError };

/** Enough for V8 to look up properties with an inline cache, which is what makes a prototype fast again. */
const LOOKUPS = 5_000;

/** Has V8 make String.prototype an object with fast properties again, which it stays. Takes half a millisecond. */
function restoreStringPrototype(): void {
  const lookUp = (text: object) => (text as { charCodeAt?: unknown }).charCodeAt;
  for (let i = 0; i < LOOKUPS; i++) lookUp(Object.create(String.prototype));
}

restoreStringPrototype();

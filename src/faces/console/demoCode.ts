import { randomBytes } from 'node:crypto';
import { hashKey, sameHash } from '../../access/tenancy/secrets.ts';
import { TidemarkError } from '../../model/errors.ts';

/** How long a code can be exchanged, in ms. */
const LIFE_MS = 15 * 60_000;

/**
 * A code that gives a key once, so that the key is in no address. It is known to this process alone and ends with it.
 *
 *   fresh ──► used
 *     └────► expired
 */
export class DemoCode {
  /** 256 random bits, to be shown to whoever may have the key. */
  readonly code = randomBytes(32).toString('base64url');
  private readonly hash = hashKey(this.code);
  private readonly until: number;
  private readonly now: () => number;
  /** Null once it has been given away. */
  private key: string | null;

  /** @param now a clock in ms that does not jump. */
  constructor(key: string, now: () => number = () => performance.now()) {
    this.key = key;
    this.now = now;
    this.until = now() + LIFE_MS;
  }

  /**
   * The key, for the code. Compared in constant time.
   *
   * @throws {TidemarkError} `code_unknown` for another code, `code_spent` for one that has been used or has expired.
   */
  exchange(code: string): string {
    if (!sameHash(hashKey(code), this.hash)) throw unknownCode();
    const { key } = this;
    if (key === null) throw new TidemarkError('code_spent', 'the code has been used; it works once');
    if (this.now() >= this.until) throw new TidemarkError('code_spent', 'the code has expired');
    this.key = null;
    return key;
  }
}

export function unknownCode(): TidemarkError {
  return new TidemarkError('code_unknown', 'the code is not known; one is printed at each start');
}

import { createHash, type Hash } from 'node:crypto';
import { canonicalJson } from '../../model/canonicalJson.ts';
import { fromUnits, toUnits } from '../../model/decimal.ts';

/*
 * The digest of a window (docs/proof.md): SHA-256 over lines of UTF-8, each with a line feed behind it,
 *
 *   tidemark-window-digest/1
 *   {"customerId":…,"tenantId":…,"windowStart":…}
 *   one line for each counted event, by the UUID it is counted under: what the export has of it
 *
 * in the canonical form of JSON. It is the same wherever it is made, so it never changes: another form has another name.
 */

/** Tells the digest from one of anything else, and from those of later forms. */
export const DIGEST_ALGORITHM = 'tidemark-window-digest/1';

/** The digest of a window, and what its events add up to. */
export interface WindowDigest {
  algorithm: typeof DIGEST_ALGORITHM;
  /** In lower-case hexadecimal. */
  sha256: string;
  events: number;
  tokens: number;
  inputTokens: number;
  outputTokens: number;
  /** The exact sum as a decimal string, in which the values of `negative` events are taken away. */
  value: string;
}

/** One customer's window. */
export interface WindowKey {
  tenantId: string;
  customerId: string;
  /** In ms since the epoch. */
  startMs: number;
}

/** An event as it goes into the digest and the sums of its window. */
export interface CountedEvent {
  /** As the export has it: canonical JSON. */
  line: string;
  eventType: string;
  tokens: number;
  inputTokens: number;
  outputTokens: number;
  /** A plain decimal; null: none. */
  value: string | null;
}

/** Makes the digest of a window, event by event. */
export class WindowHasher {
  private readonly hash: Hash = createHash('sha256');
  private readonly sums = { events: 0, tokens: 0, inputTokens: 0, outputTokens: 0 };
  private valueUnits = 0n;

  constructor({ tenantId, customerId, startMs }: WindowKey) {
    const windowStart = new Date(startMs).toISOString();
    this.hash.update(`${DIGEST_ALGORITHM}\n${canonicalJson({ tenantId, customerId, windowStart })}\n`);
  }

  /** Events come in the order of the UUIDs that they are counted under. */
  add({ line, eventType, tokens, inputTokens, outputTokens, value }: CountedEvent): void {
    this.hash.update(`${line}\n`);
    this.sums.events++;
    this.sums.tokens += tokens;
    this.sums.inputTokens += inputTokens;
    this.sums.outputTokens += outputTokens;
    if (value !== null) this.valueUnits += eventType === 'negative' ? -toUnits(value) : toUnits(value);
  }

  finish(): WindowDigest {
    const sha256 = this.hash.digest('hex');
    return { algorithm: DIGEST_ALGORITHM, sha256, ...this.sums, value: fromUnits(this.valueUnits) };
  }
}

import { createHash } from 'node:crypto';
import { hexByte } from './hexByte.ts';

/** Places for keys in a row of `event_key` (docs/adr/0037). migrations/functions/identity_slot.sql has the same. */
export const KEY_SLOTS = 7;

/** What identity keys are made of, per event. */
export interface Identified {
  readonly tenantId: string;
  /** A UUID in lower case. */
  readonly eventId: string;
}

/** Tenants whose salts are kept. A salt takes a microsecond to make. */
const SALTS_KEPT = 100_000;

/**
 * Makes the key that an event is known by: its id with the last 80 bits XORed with the salt of its tenant, which are the first
 * bits of SHA-256 of the installation's secret and the tenant's id. So one UUID says what tenant and id do: two tenants
 * with the same id have different keys, and nobody who does not know the secret can find an id whose key is another
 * tenant's. The first 48 bits stay: where ids have their time there (UUIDv7), keys are in the order of time.
 *
 * A key is four words of 32 bits, the first the most significant. migrations/functions/salted_identity.sql has the same.
 */
export class IdentityKeys {
  private readonly secret: string;
  private readonly salts = new Map<string, Uint32Array>();

  /** @param secret `installation.identity_secret`, a UUID in lower case. */
  constructor(secret: string) {
    this.secret = secret;
  }

  /** Writes the key of an event to four words of `words`, from `at` on. */
  write({ tenantId, eventId: id }: Identified, words: Uint32Array, at: number): void {
    const salt = this.salts.get(tenantId) ?? this.addSalt(tenantId);
    words[at] = (hexByte(id, 0) << 24) | (hexByte(id, 2) << 16) | (hexByte(id, 4) << 8) | hexByte(id, 6);
    words[at + 1] =
      ((hexByte(id, 9) << 24) | (hexByte(id, 11) << 16) | (hexByte(id, 14) << 8) | hexByte(id, 16)) ^
      salt[0]!;
    words[at + 2] =
      ((hexByte(id, 19) << 24) | (hexByte(id, 21) << 16) | (hexByte(id, 24) << 8) | hexByte(id, 26)) ^
      salt[1]!;
    words[at + 3] =
      ((hexByte(id, 28) << 24) | (hexByte(id, 30) << 16) | (hexByte(id, 32) << 8) | hexByte(id, 34)) ^
      salt[2]!;
  }

  private addSalt(tenantId: string): Uint32Array {
    if (this.salts.size >= SALTS_KEPT) this.salts.clear();
    const digest = createHash('sha256').update(this.secret).update(tenantId).digest();
    const salt = Uint32Array.of(digest.readUInt16BE(0), digest.readUInt32BE(2), digest.readUInt32BE(6));
    this.salts.set(tenantId, salt);
    return salt;
  }
}

/** The slot of the key at `at`, of all of its bits: ids that count, or end in the number of a machine, are spread as well. */
export function slotOf(words: Uint32Array, at: number): number {
  return ((words[at]! ^ words[at + 1]! ^ words[at + 2]! ^ words[at + 3]!) & 0x7fffffff) % KEY_SLOTS;
}

/** The key at `at` as a UUID. */
export function keyText(words: Uint32Array, at: number): string {
  const hex = (word: number) => word.toString(16).padStart(8, '0');
  const [a, b, c, d] = [hex(words[at]!), hex(words[at + 1]!), hex(words[at + 2]!), hex(words[at + 3]!)];
  return `${a}-${b.slice(0, 4)}-${b.slice(4)}-${c.slice(0, 4)}-${c.slice(4)}${d}`;
}

import type { Wanted } from './conventions.ts';

/** The attributes that are wanted, found by the bytes of their keys: a text is made of none of them. */
export class ProtobufKeys {
  private static readonly made = new WeakMap<Wanted, ProtobufKeys>();
  readonly wanted: Wanted;
  private readonly byHash = new Map<number, { number: number; bytes: Uint8Array }[]>();

  private constructor(wanted: Wanted) {
    this.wanted = wanted;
    for (const [key, number] of wanted.numbers) {
      const bytes = Buffer.from(key, 'utf8');
      const hash = hashOf(bytes, 0, bytes.length);
      this.byHash.set(hash, [...(this.byHash.get(hash) ?? []), { number, bytes }]);
    }
  }

  static of(wanted: Wanted): ProtobufKeys {
    let made = ProtobufKeys.made.get(wanted);
    if (!made) {
      made = new ProtobufKeys(wanted);
      ProtobufKeys.made.set(wanted, made);
    }
    return made;
  }

  /** The number of the attribute with that key; undefined: it is none of them. */
  find(body: Uint8Array, from: number, to: number): number | undefined {
    const found = this.byHash.get(hashOf(body, from, to));
    if (found === undefined) return undefined;
    for (const { number, bytes } of found) if (isAt(body, from, to, bytes)) return number;
    return undefined;
  }
}

/** The length, the last byte and the one in the middle: of the usual keys no three have the same. */
function hashOf(bytes: Uint8Array, from: number, to: number): number {
  if (from === to) return 0;
  return ((to - from) << 16) ^ (bytes[to - 1]! << 8) ^ bytes[from + ((to - from) >>> 1)]!;
}

function isAt(body: Uint8Array, from: number, to: number, bytes: Uint8Array): boolean {
  if (to - from !== bytes.length) return false;
  for (let i = 0; i < bytes.length; i++) if (body[from + i] !== bytes[i]) return false;
  return true;
}

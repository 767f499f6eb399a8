import { type Identified, type IdentityKeys, KEY_SLOTS, keyText, slotOf } from '../../model/identityKey.ts';

/** Columns of `event_key` that keys stand in, by slot. */
export const KEY_COLUMNS = Array.from({ length: KEY_SLOTS }, (_, slot) => `key_${slot}`);

const TWO_32 = 4_294_967_296;
/** Of a double's 53 bits one is left for rounding up. */
const SAFE_BITS = 52;

/**
 * The keys that a batch claims. Every transaction claims them in their order, or in that of the rows that they are dealt
 * into, so two that share some wait for each other; who waits long in the latter gives up (docs/adr/0037).
 */
export class IdentityClaims {
  /** How many. */
  readonly length: number;
  private readonly words: Uint32Array;
  /** Places among the events, in the order of their keys. */
  private readonly order: Uint32Array;

  /** @param events each identity once. */
  constructor(events: readonly Identified[], keys: IdentityKeys) {
    this.length = events.length;
    this.words = new Uint32Array(events.length * 4);
    for (let i = 0; i < events.length; i++) keys.write(events[i]!, this.words, i * 4);
    this.order = orderOf(this.words);
  }

  /**
   * Deals the keys into as few rows as their slots allow, in their order.
   *
   * @param row is told of each row: for each slot where in `words` its key begins, or -1. The array is used again.
   */
  deal(row: (places: Int32Array, words: Uint32Array) => void): void {
    const { words, order, length } = this;
    const dealt = new Uint32Array(length);
    const ends = new Uint32Array(KEY_SLOTS + 1);
    for (let i = 0; i < length; i++) ends[slotOf(words, i * 4) + 1]!++;
    let rows = 0;
    for (let slot = 1; slot <= KEY_SLOTS; slot++) {
      rows = Math.max(rows, ends[slot]!);
      ends[slot]! += ends[slot - 1]!;
    }
    const next = ends.slice(0, KEY_SLOTS);
    for (let i = 0; i < length; i++) {
      const at = order[i]! * 4;
      dealt[next[slotOf(words, at)]!++] = at;
    }
    const places = new Int32Array(KEY_SLOTS);
    for (let n = 0; n < rows; n++) {
      for (let slot = 0; slot < KEY_SLOTS; slot++) {
        const from = ends[slot]! + n;
        places[slot] = from < ends[slot + 1]! ? dealt[from]! : -1;
      }
      row(places, words);
    }
  }

  /** The keys in their order, as UUIDs, with their slots and the places of their events. */
  inOrder(): { keys: string[]; slots: number[]; places: number[] } {
    const { words, order } = this;
    const places = Array.from(order);
    return {
      keys: places.map((place) => keyText(words, place * 4)),
      slots: places.map((place) => slotOf(words, place * 4)),
      places,
    };
  }

  /** The keys of each slot, as UUIDs. */
  bySlot(): string[][] {
    const slots: string[][] = Array.from({ length: KEY_SLOTS }, () => []);
    for (let i = 0; i < this.length; i++) slots[slotOf(this.words, i * 4)]!.push(keyText(this.words, i * 4));
    return slots;
  }
}

/**
 * Sorts the places of keys of four words by key. What a double can hold of their first 64 bits, counted from the least of
 * them, goes through the engine's own sort of numbers with the place below it: that tells nearly all of them apart,
 * random ones as well as those of the same minute.
 */
function orderOf(words: Uint32Array): Uint32Array {
  const length = words.length >>> 2;
  let least = TWO_32;
  let most = 0;
  for (let at = 0; at < words.length; at += 4) {
    least = Math.min(least, words[at]!);
    most = Math.max(most, words[at]!);
  }
  const places = length > 1 ? 2 ** (32 - Math.clz32(length - 1)) : 1;
  const span = (most - least + 1) * TWO_32;
  const scale = Math.max(1, 2 ** Math.ceil(Math.log2((span * places) / 2 ** SAFE_BITS)));
  const sorted = new Float64Array(length);
  for (let i = 0; i < length; i++) {
    const head = (words[i * 4]! - least) * TWO_32 + words[i * 4 + 1]!;
    sorted[i] = Math.floor(head / scale) * places + i;
  }
  sorted.sort();
  const order = new Uint32Array(length);
  let tiedFrom = 0;
  for (let i = 0; i < length; i++) {
    order[i] = sorted[i]! % places;
    const ends = i + 1 === length || Math.floor(sorted[i + 1]! / places) > Math.floor(sorted[i]! / places);
    if (!ends) continue;
    if (i > tiedFrom) order.subarray(tiedFrom, i + 1).sort((a, b) => compareKeys(words, a * 4, b * 4));
    tiedFrom = i + 1;
  }
  return order;
}

function compareKeys(words: Uint32Array, a: number, b: number): number {
  for (let i = 0; i < 4; i++) {
    if (words[a + i]! !== words[b + i]!) return words[a + i]! < words[b + i]! ? -1 : 1;
  }
  return 0;
}

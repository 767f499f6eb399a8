/** Decimal digits of a sketch that a class has, in digits of the base 10,000 that PostgreSQL keeps a numeric in. */
const DIGITS_PER_CLASS = 3;
const BASE = 10_000;
const CLASSES_PER_OCTAVE = 20;
/** The class of 2^0 ms, and below it that of 0 ms. Those below 1 ms follow under that. */
const CLASS_OF_1_MS = -160;
const CLASS_OF_0_MS = -161;

/** Latencies counted by class, from the smallest to the largest. */
export interface LatencySketch {
  count: number;
  /** Numbers of the classes that have any, and how many each has. */
  classes: { number: number; count: number }[];
}

/**
 * Reads a sum of tenant_data.latency_slot: every twelve decimal digits are how many latencies fell into a class. Made
 * of sums that lack latencies it counts too few of them; where a class has had more than 10^12, its count is wrong.
 *
 * @param sent what numeric_send says: words of 16 bits, of which the first is how many digits there are, the second
 * the weight of the first of them, and the fifth and further the digits.
 */
export function readSketch(sent: Buffer | null): LatencySketch {
  const sketch: LatencySketch = { count: 0, classes: [] };
  if (sent === null) return sketch;
  const digits = sent.readUInt16BE(0);
  const weight = sent.readInt16BE(2);
  let at = 0;
  let count = 0;
  const end = () => {
    if (count > 0) sketch.classes[at === CLASS_OF_0_MS ? 'unshift' : 'push']({ number: at, count });
    sketch.count += count;
    count = 0;
  };
  for (let i = digits - 1; i >= 0; i--) {
    const digit = (sent[8 + 2 * i]! << 8) | sent[9 + 2 * i]!;
    if (digit === 0) continue; // nearly all of them
    const power = weight - i;
    const of = Math.floor(power / DIGITS_PER_CLASS);
    if (of !== at) end();
    at = of;
    count += digit * BASE ** (power - of * DIGITS_PER_CLASS);
  }
  end();
  return sketch;
}

/**
 * The latency in ms of a rank, 1 for the smallest: the middle of its class, at most 1.8 % off.
 *
 * @param rank at most as many as are counted.
 */
export function latencyAt(sketch: LatencySketch, rank: number): number {
  let upTo = 0;
  const found = sketch.classes.find(({ count }) => {
    upTo += count;
    return upTo >= rank;
  });
  return middleOf(found!.number);
}

/** As many percent from the lower end of the class as from the upper, to four significant digits. */
function middleOf(number: number): number {
  if (number === CLASS_OF_0_MS) return 0;
  const steps = number > CLASS_OF_0_MS ? number - CLASS_OF_1_MS : number - CLASS_OF_0_MS;
  const lower = 2 ** (steps / CLASSES_PER_OCTAVE);
  const upper = 2 ** ((steps + 1) / CLASSES_PER_OCTAVE);
  return Number(((2 * lower * upper) / (lower + upper)).toPrecision(4));
}

import type { AiUsageVerdict } from '../../../model/usageEvent.ts';
import { MAX_TOKENS } from '../nativeEvent.ts';
import { Counts, type Members, type Path, type UsageFault } from './counts.ts';
import { SHAPES, SHAPES_OF_PROVIDER } from './providers.ts';
import type { TokenCounts, UsageShape } from './usageShape.ts';

/** What a usage object says. */
export interface Reading extends TokenCounts {
  status: AiUsageVerdict['status'];
  /** The shape that was recognised; null: none. */
  shape: string | null;
  /** Who answered, where the shape alone says so; null: it does not. */
  provider: string | null;
  fault: UsageFault | null;
}

/** Of an object of which nobody can tell what it says. */
export const NOTHING: Readonly<Reading> = {
  status: 'unrecognised',
  shape: null,
  provider: null,
  fault: null,
  inputTokens: null,
  outputTokens: null,
  cachedInputTokens: null,
  cacheWriteTokens: null,
  audioInputTokens: null,
  reasoningTokens: null,
  audioOutputTokens: null,
};
const KINDS = [
  'inputTokens',
  'outputTokens',
  'cachedInputTokens',
  'cacheWriteTokens',
  'audioInputTokens',
  'reasoningTokens',
  'audioOutputTokens',
] as const;

/** What the name of a member says of the shapes that the object may have, each of which is a bit. */
interface Feature {
  /** Shapes that have one of these at least. */
  wholes: number;
  /** Shapes that are told by it. */
  marks: number;
  /** Shapes that have such a member. */
  known: number;
}

const bitOf = (shape: UsageShape) => 1 << SHAPES.indexOf(shape);
const bitsOf = (shapes: readonly UsageShape[]) => shapes.reduce((bits, shape) => bits | bitOf(shape), 0);
const VARIANTS = bitsOf(SHAPES.filter(({ variant }) => variant));
/** Of each shape, those that it has wholes in common with, itself among them. */
const RELATIVES = SHAPES.map(({ wholes }) =>
  bitsOf(SHAPES.filter((other) => other.wholes.some((name) => wholes.includes(name)))),
);
const CHOOSY = SHAPES.filter(({ accepts }) => accepts);
const OF_PROVIDER = new Map([...SHAPES_OF_PROVIDER].map(([name, shapes]) => [name, bitsOf(shapes)]));
const FEATURES = new Map<string, Feature>();
for (const shape of SHAPES) {
  for (const name of membersOf(shape)) {
    const feature = FEATURES.get(name) ?? { wholes: 0, marks: 0, known: 0 };
    if (shape.wholes.includes(name)) feature.wholes |= bitOf(shape);
    if (shape.marks.includes(name)) feature.marks |= bitOf(shape);
    feature.known |= bitOf(shape);
    FEATURES.set(name, feature);
  }
}

function membersOf(shape: UsageShape): Set<string> {
  const { cached, cacheWrite, reasoning, audioInput, audioCached, audioOutput, total } = shape;
  const parts = [cached, cacheWrite, reasoning, audioInput, audioCached, audioOutput, total];
  const beside = [...(shape.besideInput ?? []), ...(shape.besideOutput ?? [])];
  const all = [shape.input, shape.output, ...beside, ...parts.map((paths) => paths ?? [])].flat();
  return new Set([
    ...shape.wholes,
    ...shape.marks,
    ...(shape.ignored ?? []),
    ...all.map((path: Path) => path[0]!),
  ]);
}

const TOKENS = /token/i;
const CACHE = /cache/i;

/**
 * Reads a usage object: by the shapes of its provider, where that is one we know, else by those that its members fit. Where
 * they fit several, these have to say the same.
 *
 * @param provider as it was sent; null: nobody said.
 * @returns null where the object is about something else: no member of it is called after tokens.
 */
export function readUsage(usage: Members, provider: string | null): Reading | null {
  let wholes = 0;
  let marks = 0;
  /** Shapes that do not know a count of a cache that it has: their input may include it, or not. */
  let baffled = 0;
  let ofTokens = false;
  for (const name in usage) {
    const feature = FEATURES.get(name);
    if (feature !== undefined) {
      wholes |= feature.wholes;
      marks |= feature.marks;
    }
    ofTokens ||= TOKENS.test(name);
    if (CACHE.test(name) && usage[name] !== 0 && usage[name] !== null) baffled |= ~(feature?.known ?? 0);
  }
  for (const shape of CHOOSY) if (!shape.accepts!(usage)) wholes &= ~bitOf(shape);
  if (wholes === 0 && !ofTokens) return null;
  const told = wholes & marks;
  const ofProvider = provider === null ? undefined : shapesOf(provider);
  if (ofProvider === undefined) return settle(usage, candidatesOf(wholes, told), baffled);
  const own = wholes & ofProvider;
  if (own === 0 || ((told & ~ofProvider) !== 0 && (told & own) === 0)) {
    const message = `is no usage object of ${provider}`;
    return { ...NOTHING, fault: { path: [], message } };
  }
  return settle(usage, candidatesOf(own, told & own) || own, baffled);
}

/** Those that are told, and of the others those with wholes that no told one has: an object may be of two. */
function candidatesOf(wholes: number, told: number): number {
  let related = 0;
  for (let rest = told; rest !== 0; rest &= rest - 1) related |= RELATIVES[31 - Math.clz32(rest & -rest)]!;
  return told | (wholes & ~VARIANTS & ~related);
}

function shapesOf(provider: string): number | undefined {
  return OF_PROVIDER.get(provider) ?? OF_PROVIDER.get(provider.toLowerCase());
}

/** What the object says in these shapes, where they agree. */
function settle(usage: Members, candidates: number, baffled: number): Reading {
  let settled: Reading | null = null;
  let faulty: Reading | null = null;
  let shapes = 0;
  for (let rest = candidates; rest !== 0; rest &= rest - 1) {
    const bit = rest & -rest;
    const reading = readAs(usage, SHAPES[31 - Math.clz32(bit)]!, (baffled & bit) !== 0);
    if (reading === 'contradicted') continue;
    if (reading === 'ambiguous') return NOTHING;
    shapes++;
    if (reading.fault !== null) faulty ??= reading;
    else if (settled === null) settled = reading;
    else if (!agree(settled, reading)) return NOTHING;
  }
  if (settled === null) return faulty ?? NOTHING;
  if (shapes > 1 && isLessThanItsParts(settled)) return NOTHING;
  if (shapes > 1 || candidates !== (candidates & -candidates)) settled.provider = null;
  return settled;
}

/** Takes from the second what the first does not say. @returns false where they contradict each other. */
function agree(first: Reading, second: Reading): boolean {
  for (const kind of KINDS) {
    if (first[kind] !== null && second[kind] !== null && first[kind] !== second[kind]) return false;
  }
  for (const kind of KINDS) first[kind] ??= second[kind];
  if (second.status === 'counted') first.status = 'counted';
  return true;
}

/** Parts that one shape has need not be within the whole that another has. */
function isLessThanItsParts(found: Reading): boolean {
  const input =
    (found.cachedInputTokens ?? 0) + (found.cacheWriteTokens ?? 0) + (found.audioInputTokens ?? 0);
  const output = (found.reasoningTokens ?? 0) + (found.audioOutputTokens ?? 0);
  return input > (found.inputTokens ?? input) || output > (found.outputTokens ?? output);
}

/**
 * @param needsProof whether its total has to say that the input includes everything.
 * @returns `contradicted`: its total says that it is none of this shape; `ambiguous`: it does not say what it would have to.
 */
function readAs(
  usage: Members,
  shape: UsageShape,
  needsProof: boolean,
): Reading | 'contradicted' | 'ambiguous' {
  const counts = new Counts(usage);
  const total = counts.first(shape.total);
  let input = counts.first(shape.input);
  let output = counts.first(shape.output);
  const besideInput = sumOf(counts, shape.besideInput);
  const besideOutput = sumOf(counts, shape.besideOutput);
  if (shape.zerosLeftOut) {
    const sum = (input ?? 0) + (output ?? 0) + besideInput + besideOutput;
    if (total === null ? input !== null || output !== null : total === sum) {
      input ??= 0;
      output ??= 0;
    }
  }
  if (total !== null) {
    const isSum = total === (input ?? 0) + (output ?? 0);
    // What is in the counts and what is beside them is in the total once.
    if (needsProof ? !isSum : isSum && besideInput + besideOutput > 0) return 'contradicted';
  } else if (needsProof) return 'ambiguous';
  const found: Reading = {
    status: 'unknown',
    shape: shape.name,
    provider: shape.provider ?? null,
    fault: null,
    inputTokens: input === null ? null : input + besideInput,
    outputTokens: output === null ? null : output + besideOutput,
    cachedInputTokens: counts.first(shape.cached),
    cacheWriteTokens: counts.first(shape.cacheWrite),
    audioInputTokens: counts.first(shape.audioInput),
    reasoningTokens: counts.first(shape.reasoning),
    audioOutputTokens: counts.first(shape.audioOutput),
  };
  if (found.audioInputTokens !== null) found.audioInputTokens -= counts.first(shape.audioCached) ?? 0;
  if (shape.adjust && !shape.adjust(counts, found)) return 'ambiguous';
  const hasNoOutput = shape.inputOnly && output === null && !shape.output.some(([name]) => name! in usage);
  if (found.inputTokens !== null && (found.outputTokens !== null || hasNoOutput)) {
    found.status = 'counted';
    // Some services that answer like another one have reasoning beside the output: their total tells.
    const more = total === null ? 0 : total - found.inputTokens - (found.outputTokens ?? 0);
    if (counts.fault === null && (shape.totalHasMore ? more < 0 : more !== 0)) return 'contradicted';
  }
  checkParts(counts, shape, found);
  found.fault = counts.fault;
  return found;
}

function sumOf(counts: Counts, groups: readonly (readonly Path[])[] | undefined): number {
  let sum = 0;
  if (groups !== undefined) for (const group of groups) sum += counts.first(group) ?? 0;
  return sum;
}

/** Parts are within their wholes, and apart from each other. */
function checkParts(counts: Counts, shape: UsageShape, found: TokenCounts): void {
  const { inputTokens, outputTokens, cachedInputTokens, cacheWriteTokens, reasoningTokens } = found;
  if ((inputTokens ?? 0) > MAX_TOKENS || (outputTokens ?? 0) > MAX_TOKENS) {
    counts.refuse([], `adds up to more than ${MAX_TOKENS} tokens`);
  }
  if (inputTokens !== null) {
    const cached = cachedInputTokens ?? 0;
    const written = Math.min(cacheWriteTokens ?? 0, inputTokens - cached);
    if (cached > inputTokens) refusePart(counts, shape.cached, MORE_THAN_INPUT);
    else if ((cacheWriteTokens ?? 0) > inputTokens) refusePart(counts, shape.cacheWrite, MORE_THAN_INPUT);
    // What was read and written counts as read.
    if (cacheWriteTokens !== null) found.cacheWriteTokens = written;
    // Nobody says how much of the audio was cached: as little as there can have been.
    if (found.audioInputTokens !== null) {
      if (found.audioInputTokens > inputTokens) refusePart(counts, shape.audioInput, MORE_THAN_INPUT);
      found.audioInputTokens = Math.max(0, Math.min(found.audioInputTokens, inputTokens - cached - written));
    }
  }
  if (outputTokens !== null) {
    const reasoning = reasoningTokens ?? 0;
    if (reasoning > outputTokens) refusePart(counts, shape.reasoning, 'is more than all output tokens');
    else if (reasoning + (found.audioOutputTokens ?? 0) > outputTokens) {
      refusePart(counts, shape.audioOutput, 'is more than the output tokens beside reasoning');
    }
  }
}

const MORE_THAN_INPUT = 'is more than all input tokens';

function refusePart(counts: Counts, paths: readonly Path[] | undefined, message: string): void {
  counts.refuse(paths === undefined ? [] : counts.where(paths), message);
}

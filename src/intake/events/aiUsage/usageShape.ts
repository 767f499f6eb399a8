import type { Counts, Members, Path } from './counts.ts';

/** What a call used, in tokens; null: not said. Parts are of their whole, and apart from each other. */
export interface TokenCounts {
  /** All that went in: cached, written to a cache, audio. */
  inputTokens: number | null;
  /** All that came out, reasoning and audio included. */
  outputTokens: number | null;
  /** Read from a cache. */
  cachedInputTokens: number | null;
  /** Written to a cache. */
  cacheWriteTokens: number | null;
  /** Audio that was not read from a cache. */
  audioInputTokens: number | null;
  reasoningTokens: number | null;
  audioOutputTokens: number | null;
}

/** The form of a usage object: where it has which count, and what its counts include. Paths are alternatives. */
export interface UsageShape {
  /** As the metric names it. */
  name: string;
  /** The package, its version and the type that it was read from. */
  types: string;
  /** Who alone answers in it, by the name that OpenTelemetry has for it (gen_ai.provider.name). */
  provider?: string;
  /** Members of which an object of this shape has one at least. */
  wholes: readonly string[];
  /** Members that tell it from the other shapes with the same wholes. */
  marks: readonly string[];
  /** Members beside its paths that are known to say nothing more. */
  ignored?: readonly string[];
  /** Counts as the shape that it varies: it is told apart by its marks, or by the provider's name alone. */
  variant?: true;
  /** What an object of it must be like besides. */
  accepts?(usage: Members): boolean;
  input: readonly Path[];
  output: readonly Path[];
  /** Counts that the input does not include. */
  besideInput?: readonly (readonly Path[])[];
  /** Counts that the output does not include. */
  besideOutput?: readonly (readonly Path[])[];
  cached?: readonly Path[];
  cacheWrite?: readonly Path[];
  reasoning?: readonly Path[];
  audioInput?: readonly Path[];
  /** Audio that was read from a cache, of `audioInput`. */
  audioCached?: readonly Path[];
  audioOutput?: readonly Path[];
  /** Of all input and all output. */
  total?: readonly Path[];
  /** Whether the total has tokens that are in no other count. */
  totalHasMore?: true;
  /** Whether a count that is not there is 0, as in protobuf's JSON, so long as the total agrees. */
  zerosLeftOut?: true;
  /** Whether there are calls of it without an output. */
  inputOnly?: true;
  /**
   * What the paths cannot say.
   *
   * @returns false where it cannot be told what the counts mean.
   */
  adjust?(counts: Counts, found: TokenCounts): boolean;
}

/** The paths of members, each written with points. */
export function paths(...names: string[]): Path[] {
  return names.map((name) => name.split('.'));
}

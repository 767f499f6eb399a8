import type { EventFault } from '../../../model/errors.ts';
import { MAX_TOKENS } from '../nativeEvent.ts';
import { attributeKey, COUNTS, LANGFUSE_USAGE } from './conventions.ts';
import type { Attributes } from './otlpItem.ts';

/** What a count is of. `input` and `output` are all that went in and came out; the others are parts of them, but for `total`. */
export type TokenKind = keyof typeof COUNTS;

/** What a call used, in tokens. A kind that is not told is left out. */
export type TokenCounts = { [Kind in TokenKind]?: number };

export interface SpanUsage {
  counts: TokenCounts;
  /** unknown: there are no counts, as after a stream that was cut. unrecognised: there are some that contradict each other. */
  status: 'counted' | 'unknown' | 'unrecognised';
}

export type Fault = Omit<EventFault, 'index'>;

const KINDS = Object.keys(COUNTS) as TokenKind[];

/**
 * The counts of a call. All emitters but Langfuse's have the parts within input and output.
 *
 * @param onFault told of each attribute that is no count, and of parts that are more than the whole.
 */
export function spanUsage(attributes: Attributes, onFault: (fault: Fault) => void): SpanUsage {
  const langfuse = attributes[LANGFUSE_USAGE];
  if (langfuse !== undefined) return langfuseUsage(langfuse, onFault);
  const counts: TokenCounts = {};
  let told = false;
  for (const kind of KINDS) {
    for (const attribute of COUNTS[kind]) {
      const value = attributes[attribute];
      if (value === undefined) continue;
      if (isCount(value)) {
        counts[kind] = value;
        told = true;
      } else onFault(notCount(attributeKey(attribute), value));
      break;
    }
  }
  checkParts(counts, onFault);
  return { counts, status: told && isTold(counts) ? 'counted' : 'unknown' };
}

function isTold({ input, output, total }: TokenCounts): boolean {
  return input !== undefined || output !== undefined || total !== undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_TOKENS;
}

function notCount(name: string, value: unknown): Fault {
  const pointer = `/attributes/${name}`;
  return typeof value === 'number' || typeof value === 'bigint'
    ? { pointer, code: 'out_of_range', message: `must be a whole number from 0 to ${MAX_TOKENS}` }
    : { pointer, code: 'type_invalid', message: 'must be an integer' };
}

function checkParts(counts: TokenCounts, onFault: (fault: Fault) => void): void {
  const {
    input,
    output,
    cachedInput = 0,
    cacheWrite = 0,
    audioInput = 0,
    reasoning = 0,
    audioOutput = 0,
  } = counts;
  if (input !== undefined && (cachedInput + cacheWrite > input || audioInput > input)) {
    onFault(moreThan('cached, cache-written and audio tokens', 'input tokens, which they are part of'));
  }
  if (output !== undefined && (reasoning > output || audioOutput > output)) {
    onFault(moreThan('reasoning and audio tokens', 'output tokens, which they are part of'));
  }
}

function moreThan(parts: string, whole: string): Fault {
  return { pointer: '/attributes', code: 'usage_inconsistent', message: `has more ${parts} than ${whole}` };
}

/** Members of Langfuse's usage by what they are part of. Those named `input…` and `output…` otherwise are parts too. */
const LANGFUSE_PARTS: Readonly<Record<string, TokenKind>> = {
  input_cached_tokens: 'cachedInput',
  cache_read_input_tokens: 'cachedInput',
  input_cache_read: 'cachedInput',
  input_cache_write_tokens: 'cacheWrite',
  cache_creation_input_tokens: 'cacheWrite',
  input_cache_creation: 'cacheWrite',
  input_audio_tokens: 'audioInput',
  output_reasoning_tokens: 'reasoning',
  output_audio_tokens: 'audioOutput',
};

/** Of Langfuse, whose parts are beside `input` and `output`: they are added. The total says whether that is so. */
function langfuseUsage(text: unknown, onFault: (fault: Fault) => void): SpanUsage {
  const pointer = `/attributes/${attributeKey(LANGFUSE_USAGE)}`;
  const usage = typeof text === 'string' ? parsed(text) : undefined;
  if (usage === undefined) {
    onFault({ pointer, code: 'type_invalid', message: 'must be a text that is a JSON object' });
    return { counts: {}, status: 'unknown' };
  }
  const counts: TokenCounts = {};
  let input: number | undefined;
  let output: number | undefined;
  for (const [name, value] of Object.entries(usage)) {
    if (value === null) continue;
    const isInput = name.startsWith('input') || name.endsWith('_input_tokens');
    if (!isInput && !name.startsWith('output') && name !== 'total') continue;
    if (!isCount(value)) {
      onFault({ ...notCount('', value), pointer: `${pointer}/${name}` });
      continue;
    }
    if (name === 'total') counts.total = value;
    else if (isInput) input = (input ?? 0) + value;
    else output = (output ?? 0) + value;
    const part = Object.hasOwn(LANGFUSE_PARTS, name) ? LANGFUSE_PARTS[name]! : undefined;
    if (part) counts[part] = (counts[part] ?? 0) + value;
  }
  const { total } = counts;
  if (
    total !== undefined &&
    (input ?? 0) + (output ?? 0) !== total &&
    (input !== undefined || output !== undefined)
  ) {
    const [bareInput, bareOutput] = [bare(usage.input), bare(usage.output)];
    if ((bareInput ?? 0) + (bareOutput ?? 0) !== total) return { counts: {}, status: 'unrecognised' };
    [input, output] = [bareInput, bareOutput];
  }
  if (input !== undefined) counts.input = input;
  if (output !== undefined) counts.output = output;
  checkParts(counts, onFault);
  return { counts, status: isTold(counts) ? 'counted' : 'unknown' };
}

function bare(value: unknown): number | undefined {
  return isCount(value) ? value : undefined;
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

import type { AiUsageVerdict } from '../../../model/usageEvent.ts';
import { MAX_ID } from '../nativeEvent.ts';
import { COUNT, isCount, isMembers, type Members, type UsageFault } from './counts.ts';
import { NOTHING, type Reading, readUsage } from './readUsage.ts';

/** What a usage object adds to its event. */
export interface NormalisedUsage extends AiUsageVerdict {
  /** For the columns of the event that metadata says nothing of. */
  columns: { inputTokens?: number; outputTokens?: number; model?: string };
  /** For the metadata, beside the object. */
  members: Record<string, string | number>;
  /** What is wrong with it: the keys that lead there, within the metadata. */
  faults: UsageFault[];
}

/** The members of metadata in which there may be a usage object. */
export const USAGE_MEMBERS = ['usage', 'totalUsage', 'usageMetadata', 'response', 'x_groq'] as const;

/** Of Anthropic's streams the first event, which has all input and hardly any output. */
const MESSAGE_START = 'message_start';
/** Of Cohere's streams the last event. */
const MESSAGE_END = 'message-end';

/** Whether metadata are an event of a stream that has its usage object elsewhere: in `message`, or `delta`. */
export function isEventOfStream({ type }: Members): boolean {
  return type === MESSAGE_START || type === MESSAGE_END;
}

const INPUT_PARTS = ['cachedInputTokens', 'cacheWriteTokens', 'audioInputTokens'] as const;
const OUTPUT_PARTS = ['reasoningTokens', 'audioOutputTokens'] as const;

/**
 * What the usage object of an AI provider says, in the terms of this service: `inputTokens` is all input, `outputTokens` all
 * output, the rest are parts of them. The object is in the metadata, in a response there, or the metadata is the response.
 * What metadata says itself (`inputTokens`, `model`, `cachedInputTokens`, …) is what counts; the object fills the rest.
 * Doing it again to what has come of it changes nothing.
 *
 * @param isColumn whether a member of the metadata that has the name of a column is one.
 * @returns null where there is no such object: then nothing is to be done.
 */
export function normaliseUsage(
  metadata: Members,
  isColumn: (name: string) => boolean,
): NormalisedUsage | null {
  const given = (name: string) =>
    (isColumn(name) ? (metadata[name] ?? null) : null) as number | string | null;
  const provider = textOf(metadata.provider);
  const found = findUsage(metadata, provider);
  if (found === null) return null;
  const inputGiven = given('inputTokens') as number | null;
  const outputGiven = given('outputTokens') as number | null;
  if (found === 'missing' && (inputGiven ?? outputGiven ?? given('tokens')) !== null) return null;
  const reading = found === 'missing' ? MISSING : found;
  const input = inputGiven ?? reading.inputTokens;
  const output = outputGiven ?? reading.outputTokens;
  const status = input !== null && output !== null ? 'counted' : reading.status;
  const columns: NormalisedUsage['columns'] = {};
  const members: NormalisedUsage['members'] = {};
  const faults: UsageFault[] = reading.fault ? [reading.fault] : [];
  if (input !== null) columns.inputTokens = input;
  if (output !== null) columns.outputTokens = output;
  const about = (whole: number | null, said: number | null) =>
    whole !== null && whole === said ? reading : null;
  fillParts(metadata, INPUT_PARTS, input, about(input, reading.inputTokens), members, faults);
  fillParts(metadata, OUTPUT_PARTS, output, about(output, reading.outputTokens), members, faults);
  if (metadata.provider == null && reading.provider !== null) members.provider = reading.provider;
  const model = given('model') === null ? modelOf(metadata) : null;
  if (model !== null) columns.model = model;
  members.usageStatus = status;
  return { status, shape: reading.shape ?? 'none', columns, members, faults };
}

/** Of a call that came without an object. */
const MISSING: Readonly<Reading> = { ...NOTHING, status: 'unknown' };

/** What an object says of the parts of a whole, where it is about that whole, and metadata does not say it. */
function fillParts(
  metadata: Members,
  parts: typeof INPUT_PARTS | typeof OUTPUT_PARTS,
  whole: number | null,
  reading: Reading | null,
  members: NormalisedUsage['members'],
  faults: UsageFault[],
): void {
  let sum = 0;
  let last: string | undefined;
  for (const name of parts) {
    const given = metadata[name];
    if (given !== undefined && given !== null) {
      if (!isCount(given)) {
        faults.push({ path: [name], message: COUNT });
        return;
      }
      last = name;
      sum += given;
    } else if (reading !== null && reading[name] !== null) {
      members[name] = reading[name]!;
      sum += reading[name]!;
    }
  }
  if (last !== undefined && whole !== null && sum > whole) {
    const name = parts === INPUT_PARTS ? 'inputTokens' : 'outputTokens';
    faults.push({ path: [last], message: `with the other parts of ${name} is more than all of them` });
  }
}

/** The object; `missing`: the call came without one; null: there is none, nor a place for one. */
function findUsage(metadata: Members, provider: string | null): Reading | 'missing' | null {
  const own = readAt(metadata, [], provider);
  const { response } = metadata;
  if (!isMembers(response)) return own;
  const inside = isMembers(response.response)
    ? readAt(response.response, ['response', 'response'], provider)
    : readAt(response, ['response'], provider);
  return both(own, inside);
}

/** The objects of a response, or of an event of a stream, at these keys of the metadata. */
function readAt(response: Members, at: string[], provider: string | null): Reading | 'missing' | null {
  const found = readResponse(response, at, provider);
  const { message, delta } = response;
  if (response.type === MESSAGE_START && isMembers(message)) {
    return both(found, withoutOutput(readResponse(message, [...at, 'message'], provider)));
  }
  if (response.type === MESSAGE_END && isMembers(delta)) {
    return both(found, readMember(delta, 'usage', [...at, 'delta'], provider) ?? 'missing');
  }
  return isUnfinished(response) ? withoutOutput(found) : found;
}

/** Whether a message of Anthropic is that of a stream that goes on: `stop_reason` is null in these alone, the types say. */
function isUnfinished({ type, stop_reason: reason }: Members): boolean {
  return type === 'message' && reason === null;
}

/** The output is yet to come: what has been counted of it is no answer. */
function withoutOutput(found: Reading | 'missing' | null): Reading | 'missing' | null {
  if (found === null || found === 'missing') return found;
  const status = found.status === 'counted' ? 'unknown' : found.status;
  return { ...found, status, outputTokens: null, reasoningTokens: null, audioOutputTokens: null };
}

function readResponse(response: Members, at: string[], provider: string | null): Reading | 'missing' | null {
  // Of the AI SDK: the usage beside it is that of the last step alone.
  const all = readMember(response, 'totalUsage', at, provider);
  const usage = all ?? readMember(response, 'usage', at, provider);
  const found = both(usage, readMember(response, 'usageMetadata', at, provider));
  if (found !== null && found !== 'missing') return found;
  const { x_groq: groq } = response;
  return (isMembers(groq) ? readMember(groq, 'usage', [...at, 'x_groq'], provider) : null) ?? found;
}

function readMember(
  holder: Members,
  name: string,
  at: string[],
  provider: string | null,
): Reading | 'missing' | null {
  const usage = holder[name];
  if (usage === null && name !== 'totalUsage') return 'missing';
  if (!isMembers(usage)) return null;
  const reading = readUsage(usage, provider);
  if (reading?.fault) {
    const { path, message } = reading.fault;
    reading.fault = { path: [...at, name, ...path], message };
  }
  return reading;
}

/** Two objects of one event have to say the same. */
function both(
  one: Reading | 'missing' | null,
  other: Reading | 'missing' | null,
): Reading | 'missing' | null {
  if (one === null || (one === 'missing' && other !== null)) return other;
  if (other === null || other === 'missing' || one === 'missing' || one.fault !== null) return one;
  if (other.fault !== null) return other;
  const same =
    one.status === other.status &&
    one.inputTokens === other.inputTokens &&
    one.outputTokens === other.outputTokens &&
    [...INPUT_PARTS, ...OUTPUT_PARTS].every((part) => one[part] === other[part]);
  return same ? one : NOTHING;
}

/** The model that answered, by the names that responses have for it. */
function modelOf(metadata: Members): string | null {
  const { response } = metadata;
  if (!isMembers(response)) return namedModel(metadata);
  const inside = isMembers(response.response) ? namedModel(response.response) : null;
  return namedModel(metadata) ?? namedModel(response) ?? inside;
}

function namedModel({ model, modelVersion, modelId, type, message }: Members): string | null {
  const started = type === MESSAGE_START && isMembers(message) ? textOf(message.model) : null;
  return textOf(model) ?? textOf(modelVersion) ?? textOf(modelId) ?? started;
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && value.length <= MAX_ID ? value : null;
}

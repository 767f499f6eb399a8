import { JsonNumber } from '../../../model/json.ts';
import type { UsageEvent } from '../../../model/usageEvent.ts';
import type { PathSteps } from '../definition/singularPath.ts';
import { type ColumnFirst, isColumnFirst, SESSION_ID } from './fields.ts';

/** Gives what an event's document has at a path: a JSON value, undefined where there is nothing. */
export type Read = (event: UsageEvent) => unknown;

/** Compiles a path once: names apply to objects only, indexes to arrays only. */
export function readerOf(steps: PathSteps): Read {
  const [first, ...rest] = steps;
  if (typeof first !== 'string') return () => undefined; // the document is an object
  const read = fieldReader(first);
  if (rest.length === 0) return read;
  const walk = rest.map((step) => (typeof step === 'number' ? elementAt(step) : memberOf(step)));
  const [next, ...others] = walk as [Walk, ...Walk[]];
  if (others.length === 0) return (event) => next(read(event));
  return (event) => {
    let value = next(read(event));
    // A path may have hundreds of steps, and a tenant hundreds of paths: no event costs more of them than it is deep.
    for (let i = 0; i < others.length && value !== undefined; i++) value = others[i]!(value);
    return value;
  };
}

const COLUMNS: Record<ColumnFirst, Read> = {
  tokens: ({ tokens }) => tokens ?? undefined,
  inputTokens: ({ inputTokens }) => inputTokens ?? undefined,
  outputTokens: ({ outputTokens }) => outputTokens ?? undefined,
  latencyMs: ({ latencyMs }) => latencyMs ?? undefined,
  model: ({ model }) => model ?? undefined,
  apiEndpoint: ({ endpoint }) => endpoint ?? undefined,
  reference: ({ reference }) => reference ?? undefined,
  unit: ({ unit }) => unit ?? undefined,
  value: ({ value }) => (value === null ? undefined : new JsonNumber(value)),
};

function fieldReader(name: string): Read {
  const ofDocument = documentReader(name);
  if (isColumnFirst(name)) {
    const ofColumn = COLUMNS[name];
    return (event) => ofColumn(event) ?? ofDocument(event);
  }
  if (name !== SESSION_ID) return ofDocument;
  return (event) => {
    const value = ofDocument(event);
    return value === undefined ? (event.reference ?? undefined) : value;
  };
}

function documentReader(name: string): Read {
  if (isInherited(name)) {
    return ({ document }) => (document && Object.hasOwn(document, name) ? document[name] : undefined);
  }
  return ({ document }) => (document === null ? undefined : document[name]);
}

type Walk = (value: unknown) => unknown;

function memberOf(name: string): Walk {
  const inherited = isInherited(name);
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof JsonNumber) {
      return undefined;
    }
    if (inherited && !Object.hasOwn(value, name)) return undefined;
    return (value as Record<string, unknown>)[name];
  };
}

function elementAt(index: number): Walk {
  return (value) => (Array.isArray(value) ? value[index < 0 ? value.length + index : index] : undefined);
}

/** Whether every object answers to the name, whether it has such a member or not. */
function isInherited(name: string): boolean {
  return name in Object.prototype;
}

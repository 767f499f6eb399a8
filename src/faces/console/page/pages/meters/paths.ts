import { digitsOf } from '../../format/json.ts';

export interface SeenEvent {
  eventType: string;
  apiEndpoint?: string;
  reference?: string;
  value?: string;
  unit?: string;
  metadata: Record<string, unknown>;
}

export interface SeenPath {
  path: string;
  /** As it was in the last event that has it, by `parseExact`. */
  example: string | number | boolean;
  /** Of how many events. */
  events: number;
}

const NAMED = ['apiEndpoint', 'reference', 'value', 'unit'] as const;
const DEEPEST = 4;
const MOST = 40;

/** Where events have texts and numbers, as paths of a meter: those of most events first. */
export function pathsOf(events: readonly SeenEvent[]): SeenPath[] {
  const found = new Map<string, SeenPath>();
  for (const event of events) {
    const named = NAMED.flatMap((name) => (event[name] === undefined ? [] : [[name, event[name]]]));
    walk({ ...event.metadata, ...Object.fromEntries(named) }, '$', 0, (path, example) => {
      const seen = found.get(path);
      if (seen) seen.events++;
      else found.set(path, { path, example, events: 1 });
    });
  }
  return [...found.values()].sort((a, b) => b.events - a.events).slice(0, MOST);
}

function walk(
  value: unknown,
  path: string,
  depth: number,
  tell: (path: string, example: SeenPath['example']) => void,
): void {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') tell(path, value);
  if (typeof value !== 'object' || value === null || Array.isArray(value) || depth === DEEPEST) return;
  for (const [name, inner] of Object.entries(value)) {
    const step = /^[A-Za-z_]\w*$/.test(name) ? `.${name}` : `['${name.replace(/['\\]/g, '\\$&')}']`;
    walk(inner, path + step, depth + 1, tell);
  }
}

/** Whether a meter reads it as a number. */
export const isNumber = (value: unknown) =>
  typeof value === 'number' ||
  (typeof value === 'string' && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(digitsOf(value)));

/** A name that a slug, or a dimension, can have, made of texts: `egress_gb`. */
export const nameOf = (...texts: string[]) =>
  texts
    .join('_')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')
    .slice(0, 64)
    .replace(/_$/, '');

/** The last name of a path: `$.size.gb` → `gb`. */
export const lastName = (path: string) => /([^.'[\]$]+)'?\]?$/.exec(path)?.[1] ?? '';

import { writeJson } from '../../format/json.ts';
import type { Note } from '../../parts/note.ts';

export interface Event {
  eventId: string;
  timestamp: string;
  receivedAt: string;
  tenantId: string;
  customerId: string;
  eventType: string;
  apiEndpoint?: string;
  sourceId?: string;
  reference?: string;
  unit?: string;
  /** Exact decimal. */
  value?: string;
  metadata: Record<string, unknown>;
  voidedAt?: string;
  correction?: Note;
  meters?: Verdict[];
}

export interface Verdict {
  slug: string;
  verdict: 'counted' | 'ignored';
  value?: string;
  dimensions?: Record<string, string | null>;
  reason?: string;
}

export type State = 'counted' | 'voided' | 'superseded';

export interface Versions {
  eventId: string;
  state: State;
  versions: { version: number; state: State; event: Event }[];
  corrections: (Note & { kind: string; at: string })[];
}

/** The start of the window that an event of this time is in. */
export const windowOf = (timestamp: string) =>
  new Date(Math.floor(Date.parse(timestamp) / 30_000) * 30_000).toISOString();

/** The event as it could be posted again: without what the service added. */
export function asPosted(event: Event): Record<string, unknown> {
  const { tenantId, receivedAt, voidedAt, correction, meters, ...posted } = event;
  return posted;
}

/** What differs between two documents: path, before, after; empty where there is none. */
export function differences(
  before: unknown,
  after: unknown,
): [path: string, before: string, after: string][] {
  const [a, b] = [leaves(before), leaves(after)];
  return [...new Set([...a.keys(), ...b.keys()])]
    .map((path): [string, string, string] => [path, a.get(path) ?? '', b.get(path) ?? ''])
    .filter(([, one, other]) => one !== other);
}

function leaves(value: unknown, path = '', into = new Map<string, string>()): Map<string, string> {
  const inner = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  if (inner.length === 0) into.set(path, writeJson(value));
  for (const [name, one] of inner) leaves(one, path === '' ? name : `${path}.${name}`, into);
  return into;
}

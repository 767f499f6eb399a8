import { StartupError, UsageError } from '../errors.ts';

type Kind = 'text' | 'time' | 'number' | 'decimal';

interface Target {
  /** Where it goes in the native event: the event itself, or its metadata. */
  in: 'event' | 'metadata';
  name: string;
  kind: Kind;
}

const inEvent = (name: string, kind: Kind = 'text'): Target => ({ in: 'event', name, kind });
const inMetadata = (name: string, kind: Kind = 'number'): Target => ({ in: 'metadata', name, kind });

/** What a column can be mapped to. */
export const TARGETS: Record<string, Target> = {
  eventId: inEvent('eventId'),
  timestamp: inEvent('timestamp', 'time'),
  customerId: inEvent('customerId'),
  apiEndpoint: inEvent('apiEndpoint'),
  endpoint: inEvent('apiEndpoint'),
  model: inMetadata('model', 'text'),
  eventType: inEvent('eventType'),
  sourceId: inEvent('sourceId'),
  reference: inEvent('reference'),
  unit: inEvent('unit'),
  value: inEvent('value', 'decimal'),
  tokens: inMetadata('tokens'),
  inputTokens: inMetadata('inputTokens'),
  outputTokens: inMetadata('outputTokens'),
  latencyMs: inMetadata('latencyMs'),
};

/** A field of the event and the column it comes from. */
export interface MappedColumn {
  target: Target;
  column: string;
}

export interface Mapping {
  columns: MappedColumn[];
  /** Columns that are kept under their own names in the metadata. */
  metadata: string[];
}

/**
 * Reads `target=COLUMN,…` and the list of columns for metadata.
 *
 * @throws {UsageError} for an unknown target, one that is given twice, or a metadata name that has a target.
 */
export function parseMapping(map: string, metadata: string): Mapping {
  const columns = list(map).map(parseEntry);
  const twice = columns.find(({ target }, i) =>
    columns.slice(0, i).some((other) => other.target.name === target.name),
  );
  if (twice) throw new UsageError(`--map: ${twice.target.name} is given twice`);
  const kept = list(metadata);
  const reserved = kept.find((name) => TARGETS[name]?.in === 'metadata');
  if (reserved !== undefined) {
    throw new UsageError(`--metadata: ${reserved} has a meaning of its own; use --map ${reserved}=COLUMN`);
  }
  return { columns, metadata: kept };
}

function parseEntry(entry: string): MappedColumn {
  const at = entry.indexOf('=');
  const name = entry.slice(0, at).trim();
  const column = entry.slice(at + 1).trim();
  if (at < 0 || column === '') throw new UsageError(`--map: write target=COLUMN, not ${entry}`);
  const target = Object.hasOwn(TARGETS, name) ? TARGETS[name] : undefined;
  if (!target) {
    throw new UsageError(`--map: ${name} is none of ${Object.keys(TARGETS).join(', ')}`);
  }
  return { target, column };
}

/**
 * Where the mapped columns stand in a header.
 *
 * @throws {StartupError} when one is not there, or twice.
 */
export function locateColumns(mapping: Mapping, header: readonly string[]): Map<string, number> {
  const wanted = [...mapping.columns.map(({ column }) => column), ...mapping.metadata];
  const places = new Map<string, number>();
  for (const column of wanted) {
    const at = header.indexOf(column);
    if (at < 0) throw new StartupError(`the file has no column ${column}; it has ${header.join(', ')}`);
    if (header.indexOf(column, at + 1) >= 0) throw new StartupError(`the file has two columns ${column}`);
    places.set(column, at);
  }
  return places;
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

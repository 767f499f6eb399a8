import { StartupError, UsageError } from '../../model/errors.ts';

/** Of `json` the text of a cell is an object in JSON; one that is called `metadata` is all of it. */
type Kind = 'text' | 'time' | 'number' | 'decimal' | 'json';

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
  metadata: inEvent('metadata', 'json'),
  usage: inMetadata('usage', 'json'),
  totalUsage: inMetadata('totalUsage', 'json'),
  usageMetadata: inMetadata('usageMetadata', 'json'),
  response: inMetadata('response', 'json'),
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
 * Reads `target=COLUMN,…` and the list of columns for metadata. A column in quotes is taken as it stands, with the blanks
 * and commas it has; a quote in it is doubled, as in CSV. Without them, blanks around it are dropped, and it ends at the
 * next comma.
 *
 * @param map each is a list; together they are one.
 * @throws {UsageError} for an unknown target, one that is given twice, or a metadata name that has a target.
 */
export function parseMapping(map: string | readonly string[], metadata: string | readonly string[]): Mapping {
  const columns = [map].flat().flatMap((text) => [...entries(text, '--map', 'target=COLUMN')].map(toColumn));
  const twice = columns.find(({ target }, i) =>
    columns.slice(0, i).some((other) => other.target.name === target.name),
  );
  if (twice) throw new UsageError(`--map: ${twice.target.name} is given twice`);
  const names = [metadata].flat().flatMap((text) => [...entries(text, '--metadata', null)]);
  const kept = names.map(({ column }) => column);
  const reserved = kept.find((name) => Object.hasOwn(TARGETS, name) && isReserved(TARGETS[name]!));
  if (reserved !== undefined) {
    throw new UsageError(`--metadata: ${reserved} has a meaning of its own; use --map ${reserved}=COLUMN`);
  }
  const again = kept.find((name) =>
    columns.some(({ target }) => target.in === 'metadata' && target.name === name),
  );
  if (again !== undefined) throw new UsageError(`--metadata: --map says already what ${again} is`);
  return { columns, metadata: [...new Set(kept)] };
}

/** Whether a member of the metadata is something of its own: a column that happens to be called `response` is text like any other. */
function isReserved({ in: place, kind }: Target): boolean {
  return place === 'metadata' && kind !== 'json';
}

function toColumn({ target: name, column }: Entry): MappedColumn {
  const target = Object.hasOwn(TARGETS, name) ? TARGETS[name] : undefined;
  if (!target) {
    throw new UsageError(`--map: ${name} is none of ${Object.keys(TARGETS).join(', ')}`);
  }
  return { target, column };
}

interface Entry {
  target: string;
  column: string;
}

/** A quoted text, then nothing but blanks up to the comma; or whatever has no comma. */
const COLUMN = /\s*(?:"((?:[^"]|"")*)"\s*(?=,|$)|((?!\s*")[^,]*))(?:,|$)/y;
const TARGET = /([^,=]*)=/y;

/** @param form of an entry with a target; null: entries have none. */
function* entries(text: string, option: string, form: string | null): Generator<Entry> {
  for (let at = 0; at < text.length; ) {
    const blank = /[\s,]*/y;
    blank.lastIndex = at;
    blank.test(text);
    at = blank.lastIndex;
    if (at === text.length) return;
    const written = text.slice(at);
    let target = '';
    if (form !== null) {
      TARGET.lastIndex = at;
      target = TARGET.exec(text)?.[1]?.trim() ?? '';
      if (target === '') throw new UsageError(`${option}: write ${form}, not ${written}`);
      at = TARGET.lastIndex;
    }
    COLUMN.lastIndex = at;
    const match = COLUMN.exec(text);
    if (!match) {
      throw new UsageError(
        `${option}: a column in quotes ends with one, and has its own doubled: ${written}`,
      );
    }
    const [, quoted, plain = ''] = match;
    const column = quoted?.replaceAll('""', '"') ?? plain.trim();
    if (column === '' && quoted === undefined) {
      throw new UsageError(`${option}: write ${form ?? 'COLUMN'}, not ${written}`);
    }
    yield { target, column };
    at = COLUMN.lastIndex;
  }
}

/** A column as it has to be written. */
function written(column: string): string {
  return column === '' || /^["\s]|,|\s$/.test(column) ? `"${column.replaceAll('"', '""')}"` : column;
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
    if (at < 0) {
      throw new StartupError(
        `the file has no column ${written(column)}; it has ${header.map(written).join(', ')}`,
      );
    }
    if (header.indexOf(column, at + 1) >= 0) {
      throw new StartupError(`the file has two columns ${written(column)}`);
    }
    places.set(column, at);
  }
  return places;
}

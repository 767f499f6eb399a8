import type { TimeFormat } from './times.ts';

type Kind = 'text' | 'time' | 'count' | 'number' | 'decimal' | 'json';

export interface Target {
  name: string;
  label: string;
  in: 'event' | 'metadata';
  kind: Kind;
  /** Longest text, in UTF-16 code units, or greatest number. */
  max: number;
  /** Names of columns that probably hold it, in small letters and digits. */
  like: string;
}

const of = (
  name: string,
  label: string,
  kind: Kind,
  max: number,
  like: string,
  place: Target['in'] = 'event',
): Target => ({
  ...{ name, label, in: place, kind, max, like },
});
const TOKENS = 10_000_000_000;

/** What a column can be, as src/intake/importing/mapping.ts has it. */
export const TARGETS: readonly Target[] = [
  of('timestamp', 'Time', 'time', 64, 'timestamp time ts date datetime at createdat occurredat'),
  of('customerId', 'Customer', 'text', 256, 'customerid customer userid user account accountid'),
  of('apiEndpoint', 'Endpoint', 'text', 1_024, 'apiendpoint endpoint path route url'),
  of('eventType', 'Event type', 'text', 128, 'eventtype type event'),
  of('eventId', 'Event id', 'text', 256, 'eventid id'),
  of('model', 'Model', 'text', 256, 'model', 'metadata'),
  of('tokens', 'Tokens', 'count', TOKENS, 'tokens totaltokens', 'metadata'),
  of('inputTokens', 'Input tokens', 'count', TOKENS, 'inputtokens prompttokens contexttokens', 'metadata'),
  of(
    'outputTokens',
    'Output tokens',
    'count',
    TOKENS,
    'outputtokens completiontokens generatedtokens',
    'metadata',
  ),
  of('latencyMs', 'Latency in ms', 'number', 1_000_000_000, 'latencyms latency durationms', 'metadata'),
  of('value', 'Value', 'decimal', 100, 'value amount quantity'),
  of('unit', 'Unit', 'text', 64, 'unit'),
  of('reference', 'Reference', 'text', 256, 'reference sessionid session orderid invoiceid'),
  of('sourceId', 'Source', 'text', 256, 'sourceid source'),
  of('metadata', 'Metadata (JSON)', 'json', 0, 'metadata'),
  of('usage', 'Usage object (JSON)', 'json', 0, 'usage', 'metadata'),
  of('response', 'Whole response (JSON)', 'json', 0, 'response', 'metadata'),
];
/** Fields that may be the same in every row, and which have a flag of `tidemark import`. */
export const CONSTANTS: Record<string, string> = {
  customerId: 'customer',
  apiEndpoint: 'endpoint',
  eventType: 'event-type',
  model: 'model',
  unit: 'unit',
  reference: 'reference',
  sourceId: 'source-id',
};
/** A column that is kept in the metadata under its own name. */
export const KEPT = '(kept)';

/** What makes events of rows. */
export interface Mapping {
  header: string[];
  /** What each column is: the name of a target, KEPT, or '' for nothing. */
  columns: string[];
  /** What all rows have, by the names of CONSTANTS. */
  constants: Record<string, string>;
  timeFormat: TimeFormat;
}

/** What the columns probably are. */
export function guessed(header: string[]): string[] {
  const names = header.map((name) => name.toLowerCase().replace(/[^a-z0-9]/g, ''));
  const columns = header.map(() => '');
  for (const { name, like } of TARGETS) {
    const at = like.split(' ').map((text) => names.indexOf(text));
    const first = at.find((i) => i >= 0 && columns[i] === '');
    if (first !== undefined) columns[first] = name;
  }
  return columns;
}

/** What keeps the mapping from making events, in words; null: nothing. */
export function faultOf({ header, columns, constants }: Mapping): string | null {
  const has = (name: string) => columns.includes(name);
  for (const [i, column] of columns.entries()) {
    if (column === '') continue;
    if (header.indexOf(header[i]!) < i || header.indexOf(header[i]!, i + 1) > 0) {
      return `There are two columns ${header[i]}: neither can be used.`;
    }
    const target = TARGETS.find(({ name }) => name === (column === KEPT ? header[i] : column));
    if (column !== KEPT && columns.indexOf(column) < i) return `Two columns are ${target!.label}.`;
    const own = column === KEPT && target?.in === 'metadata' && (target.kind !== 'json' || has(target.name));
    if (own) return `${header[i]} has a meaning of its own in the metadata: say so, or leave it out.`;
  }
  if (!has('timestamp')) return 'Say which column is the time.';
  if (!has('customerId') && !constants.customerId)
    return 'Say which column is the customer, or who it is of all rows.';
  const requests = !has('eventType') && (constants.eventType || 'api.request') === 'api.request';
  if (requests && !has('apiEndpoint') && !constants.apiEndpoint) {
    return 'Events of the type api.request need an endpoint: a column, or one for all rows.';
  }
  return null;
}

/** What a row has of the field that a pointer names, as it is written; '' where no column is it. */
export function cellAt({ header, columns }: Mapping, values: readonly string[], pointer: string): string {
  const [name = '', inner] = pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  const inside = name === 'metadata' && inner !== undefined;
  const kept = inside ? columns.findIndex((is, i) => is === KEPT && header[i] === inner) : -1;
  const at = kept >= 0 || name === '' ? kept : columns.indexOf(inside ? inner : name);
  return values[at] ?? '';
}

const EXPORT =
  'eventId,timestamp,receivedAt,tenantId,customerId,eventType,apiEndpoint,model,sourceId,reference,unit,value,tokens,inputTokens,outputTokens,latencyMs,metadata';

/** Whether it is an export of Tidemark's, whose texts are led by apostrophes where a spreadsheet would calculate. */
export const isGuarded = (header: string[]) =>
  header.join() === EXPORT || (header[0] === 'bucket' && header[1] === 'bucketEnd');

/** What is said of the rows beyond themselves, as src/intake/importing/meaning.ts writes it. */
export function meaningOf({ header, columns, constants, timeFormat }: Mapping): string {
  const mapped = columns.flatMap((column, i) => {
    const target = TARGETS.find(({ name }) => name === column);
    return target ? [[target.in, target.name, header[i]!]] : [];
  });
  const said = Object.entries(constants).filter(
    ([name, value]) =>
      value !== '' &&
      !(name === 'customerId' && !columns.includes(name)) &&
      !(name === 'eventType' && value === 'api.request'),
  );
  return JSON.stringify({
    columns: mapped.sort(byText),
    metadata: header.filter((_, i) => columns[i] === KEPT).sort(),
    constants: said.sort(byText),
    timeFormat,
    guarded: isGuarded(header),
  });
}

const byText = (a: unknown, b: unknown) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

/** The same import as a command. */
export function commandOf(
  { header, columns, constants, timeFormat }: Mapping,
  file: string,
  tenant: string,
  delimiter: string,
): string {
  const written = (i: number) =>
    /^["\s]|,|\s$|^$/.test(header[i]!) ? `"${header[i]!.replaceAll('"', '""')}"` : header[i]!;
  const list = (kept: boolean) =>
    columns.flatMap((column, i) =>
      column === '' || (column === KEPT) !== kept ? [] : [kept ? written(i) : `${column}=${written(i)}`],
    );
  const flags: [string, string][] = [
    ['tenant', tenant],
    ...Object.entries(constants).map(([name, value]) => [CONSTANTS[name]!, value] as [string, string]),
    ['map', list(false).join()],
    ['metadata', list(true).join()],
    ['time-format', timeFormat === 'iso' ? '' : timeFormat],
    ['delimiter', delimiter === ',' ? '' : delimiter === '\t' ? 'tab' : delimiter],
    ['last-row', 'take'],
  ];
  const word = (text: string) =>
    /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
  const given = flags.filter(([, value]) => value !== '').map(([name, value]) => `--${name} ${word(value)}`);
  return `npx tidemark import ${word(file)} ${given.join(' ')}`;
}

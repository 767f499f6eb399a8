import { isGuarded, KEPT, type Mapping, TARGETS, type Target } from './mapping.ts';
import type { Row } from './reading/csv.ts';
import type { Fault } from './reading/lines.ts';
import { rowId } from './reading/rowId.ts';
import { microsOf, timeFrom } from './times.ts';

export type Verdict = { json: string; micros: number; faults?: never } | { faults: Fault[] };

const FORMULA = /^'+(?:[=+@\t\r\n\uFF1D\uFF0B\uFF20\uFF0D]|-(?![\d.]+$))/;
const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?$/;
const JSON_NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const DECIMAL = /^[+-]?(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/;
const NUL = 'must not contain NUL or unpaired surrogates';
const pointerTo = (name: string) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;

/**
 * Makes native events of rows as `tidemark import` does, and finds what the API would refuse of them whenever they are sent:
 * all but what depends on the service's clock and settings. Numbers keep the digits that they have in the file.
 *
 * @param prefix of the ids of rows that have none.
 */
export function eventMaker(mapping: Mapping, prefix: string): (row: Row) => Verdict {
  const { header, columns, constants, timeFormat } = mapping;
  const guarded = isGuarded(header);
  const mapped: [Target, number][] = TARGETS.flatMap((target) => {
    const at = columns.indexOf(target.name);
    return at < 0 ? [] : [[target, at] as [Target, number]];
  });
  // First: what has a column of its own comes over what is in an object.
  mapped.sort(([a], [b]) => Number(b.kind === 'json') - Number(a.kind === 'json'));
  const kept = columns.flatMap((column, i) => (column === KEPT ? [i] : []));
  const fixed = TARGETS.filter(({ name }) => constants[name]);

  return (row) => {
    if (row.fault) return { faults: [row.fault] };
    const faults: Fault[] = [];
    const event = new Map<string, string>();
    const metadata = new Map<string, string>();
    const cellAt = (i: number) => {
      const cell = row.values![i]!;
      return guarded && FORMULA.test(cell) ? cell.slice(1) : cell;
    };
    const set = (target: Target, text: string) => {
      const pointer =
        (target.in === 'metadata' || target.name === 'metadata' ? '/metadata' : '') +
        (target.name === 'metadata' ? '' : pointerTo(target.name));
      const fault = (code: string, message: string) => faults.push({ pointer, code, message });
      if (text.includes('\0')) fault('text_invalid', NUL);
      const into = target.in === 'event' ? event : metadata;
      if (target.kind !== 'json') return into.set(target.name, checked(target, text, fault));
      const members = membersOf(text, header[columns.indexOf(target.name)]!, fault);
      if (members === null) return;
      if (target.in === 'metadata') metadata.set(target.name, text);
      else for (const [name, value] of new Map(members)) if (!metadata.has(name)) metadata.set(name, value);
    };
    for (const [target, at] of mapped) {
      const cell = cellAt(at);
      if (cell !== '') set(target, target.kind === 'time' ? timeFrom(cell, timeFormat) : cell);
    }
    for (const at of kept) {
      const [name, cell] = [header[at]!, cellAt(at)];
      if (cell !== '') metadata.set(name, JSON.stringify(cell));
      if (cell.includes('\0')) {
        faults.push({ pointer: `/metadata${pointerTo(name)}`, code: 'text_invalid', message: NUL });
      }
    }
    for (const target of fixed) {
      if (!(target.in === 'event' ? event : metadata).has(target.name)) set(target, constants[target.name]!);
    }
    const required = ['timestamp', 'customerId'];
    if ((event.get('eventType') ?? '"api.request"') === '"api.request"') required.push('apiEndpoint');
    for (const name of required) {
      if (!event.has(name))
        faults.push({ pointer: pointerTo(name), code: 'required', message: 'is required' });
    }
    if (
      event.get('eventType') === '"counter.increment"' &&
      !/^"\+?(?=[\d.]*[1-9])/.test(event.get('value') ?? '')
    ) {
      faults.push({ pointer: '/value', code: 'value_not_positive', message: 'must be above 0' });
    }
    if (faults.length > 0) return { faults };
    if (!event.has('eventId')) event.set('eventId', JSON.stringify(rowId(prefix, row.line, row.text)));
    if (metadata.size > 0) event.set('metadata', jsonOf(metadata));
    return { json: jsonOf(event), micros: microsOf(JSON.parse(event.get('timestamp')!)) };
  };
}

const jsonOf = (members: Map<string, string>) =>
  `{${[...members].map(([name, value]) => `${JSON.stringify(name)}:${value}`).join()}}`;

/** A cell as JSON; tells what the API would refuse of it. */
function checked(
  { kind, max }: Target,
  cell: string,
  fault: (code: string, message: string) => void,
): string {
  const text = kind === 'text' || kind === 'time' ? cell : cell.trim();
  if (kind === 'count' || kind === 'number') {
    const number = Number(text);
    if (!NUMBER.test(text)) fault('type_invalid', 'must be a number');
    else if (kind === 'count' && !isWhole(text)) fault('type_invalid', 'must be a whole number');
    else if (!(number >= 0 && number <= max)) fault('out_of_range', `must be from 0 to ${max}`);
    return JSON_NUMBER.test(text) ? text : String(number);
  }
  if (kind === 'time') {
    if (text.length > max) fault('too_long', `must be at most ${max} characters`);
    else if (Number.isNaN(microsOf(text)))
      fault('timestamp_invalid', 'must be a date-time in the format that was chosen');
  } else if (kind === 'decimal') {
    if (!isDecimal(text))
      fault('value_invalid', 'must be a decimal of at most 38 digits, 18 of them after the point');
  } else if (text.length > max) fault('too_long', `must be at most ${max} characters`);
  return JSON.stringify(text);
}

/** Whether nothing is left behind the point, however it is written. */
function isWhole(text: string): boolean {
  const [, , fraction = '', exponent = '0'] = /^[+-]?(\d*)\.?(\d*)(?:[eE](.*))?$/.exec(text)!;
  const digits = /^[+-]?(\d*)/.exec(text)![1]! + fraction;
  const behind = fraction.length - Number(exponent);
  return behind <= 0 || !/[1-9]/.test(digits.padStart(behind, '0').slice(-behind));
}

/** As src/model/decimal.ts has it. */
function isDecimal(text: string): boolean {
  const match = DECIMAL.exec(text);
  if (!match || text.length > 100) return false;
  const [, whole = '', fraction = '', exponent = '0'] = match;
  if (whole + fraction === '') return false;
  const digits = (whole + fraction).replace(/^0+/, '').replace(/0+$/, '');
  if (digits === '') return true;
  const trailing = /0*$/.exec(whole + fraction)![0].length;
  const behind = fraction.length - Number(exponent) - trailing; // of the last digit that counts
  return behind <= 18 && digits.length - behind <= 20;
}

/** The members of an object in JSON, each as it is written; null where it is none. */
function membersOf(
  text: string,
  column: string,
  fault: (code: string, message: string) => void,
): [string, string][] | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    fault('invalid_json', `column ${column} is not valid JSON: ${(error as Error).message}`);
    return null;
  }
  if (value === null) return [];
  if (typeof value !== 'object' || Array.isArray(value)) {
    fault('type_invalid', `column ${column} must be an object in JSON`);
    return null;
  }
  const members: [string, string][] = [];
  let [depth, from, name] = [0, 0, ''];
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]/g)) {
    if (depth === 1 && token === ':') [name, from] = [JSON.parse(text.slice(from, index)), index + 1];
    else if (depth === 1 && /[,}]/.test(token[0]!) && text.slice(from, index).trim() !== '') {
      members.push([name, text.slice(from, index)]);
    }
    if (token === '{' || token === '[') depth++;
    if (token === '}' || token === ']') depth--;
    if (depth === 1 && /^[{,]$/.test(token)) from = index + 1;
  }
  return members;
}

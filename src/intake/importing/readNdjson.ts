import { parseJson } from '../../model/json.ts';
import type { Line } from './readLines.ts';
import { type LastRow, type Row, unfinishedRow } from './row.ts';

/**
 * Reads NDJSON, one JSON value per line, those of a block of lines at a time; blank lines are passed over. A line that
 * is not JSON is one fault.
 *
 * @param last what to do about a last line that has no end and is not JSON. An object is known to be whole.
 */
export async function* readNdjson(
  lines: AsyncIterable<Line[]>,
  last: LastRow = 'take',
): AsyncGenerator<Row<unknown>[]> {
  for await (const block of lines) {
    const rows: Row<unknown>[] = [];
    for (const { number, text: raw, fault, unfinished } of block) {
      const text = raw.trim();
      if (text === '') continue;
      const row: Row<unknown> = fault ? { line: number, text, fault } : parseRow(number, text);
      const whole = !unfinished || (typeof row.values === 'object' && row.values !== null);
      rows.push(whole || last === 'take' ? row : unfinishedRow(number, 'the last line has no end'));
    }
    if (rows.length > 0) yield rows;
  }
}

/** One JSON value. */
export function parseRow(line: number, text: string): Row<unknown> {
  try {
    return { line, text, values: parseJson(text) };
  } catch (error) {
    const { message } = error as Error;
    return { line, text, fault: { pointer: '', code: 'invalid_json', message } };
  }
}

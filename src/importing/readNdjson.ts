import { parseJson } from '../events/json.ts';
import type { Line } from './readLines.ts';
import type { Row } from './row.ts';

/** Reads NDJSON, one JSON value per line; blank lines are passed over. A line that is not JSON is one fault. */
export async function* readNdjson(lines: AsyncIterable<Line[]>): AsyncGenerator<Row<unknown>> {
  for await (const block of lines) {
    for (const { number, text: raw, fault } of block) {
      const text = raw.trim();
      if (fault) yield { line: number, text, fault };
      else if (text !== '') yield parse(number, text);
    }
  }
}

function parse(line: number, text: string): Row<unknown> {
  try {
    return { line, text, values: parseJson(text) };
  } catch (error) {
    const { message } = error as Error;
    return { line, text, fault: { pointer: '', code: 'invalid_json', message } };
  }
}

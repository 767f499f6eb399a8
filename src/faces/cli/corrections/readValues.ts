import { isUtf8 } from 'node:buffer';
import { openInput } from '../../../intake/importing/openInput.ts';
import { StartupError } from '../../../model/errors.ts';
import { parseJson } from '../../../model/json.ts';

/** A file that is corrected by is read as a whole, before anything is done: up to so many bytes, decompressed. */
const MOST_BYTES = 64 * 1_024 * 1_024;

/** How a file is read. Left out: JSON or NDJSON where it begins with `[` or `{`, else lines. */
export const FORMATS = ['lines', 'json'] as const;
export type Format = (typeof FORMATS)[number];

/** A value of a file. */
export interface FileValue {
  /** Where it stands, as a person would look for it. */
  place: string;
  value: unknown;
}

/**
 * The values of a file: its lines, as texts; or those of JSON, an array's elements, an object by itself, or one to a line.
 * Numbers that no double holds keep their digits. Empty lines are passed over, and a byte order mark.
 *
 * @param path `-`: standard input. Compressed or not.
 * @throws {StartupError} where it cannot be read, is too large, no UTF-8 or no JSON, with the line.
 */
export async function readValues(path: string, format?: Format): Promise<FileValue[]> {
  const text = await textOf(path);
  if (format === 'lines' || (format === undefined && !/^\s*[[{]/.test(text))) {
    return linesOf(text).map(({ place, line }) => ({ place, value: line }));
  }
  const document = parsed(text);
  if (document !== undefined) {
    const values = Array.isArray(document.value) ? document.value : [document.value];
    return values.map((value, i) => ({ place: `element ${i + 1}`, value }));
  }
  return linesOf(text).map(({ place, line }) => {
    const read = parsed(line);
    if (!read) throw new StartupError(`${nameOf(path)}: ${place} is not JSON, and neither is the whole`);
    return { place, value: read.value };
  });
}

/** What a file is called in messages. */
export function nameOf(path: string): string {
  return path === '-' ? 'standard input' : path;
}

async function textOf(path: string): Promise<string> {
  const input = await openInput(path);
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of input.chunks) {
      bytes += chunk.length;
      if (bytes > MOST_BYTES) {
        throw new StartupError(`${nameOf(path)} has more than ${MOST_BYTES / 1_048_576} MiB: do it in parts`);
      }
      chunks.push(chunk);
    }
    const whole = Buffer.concat(chunks);
    if (!isUtf8(whole)) throw new StartupError(`${nameOf(path)} is not UTF-8`);
    return whole.toString('utf8').replace(/^\ufeff/, '');
  } finally {
    await input.close();
  }
}

function linesOf(text: string): { place: string; line: string }[] {
  return text
    .split('\n')
    .map((line, i) => ({ place: `line ${i + 1}`, line: line.endsWith('\r') ? line.slice(0, -1) : line }))
    .filter(({ line }) => line.trim() !== '');
}

function parsed(text: string): { value: unknown } | undefined {
  try {
    return { value: parseJson(text) };
  } catch {
    return undefined;
  }
}

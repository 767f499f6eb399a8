import { type Row, readCsv } from './reading/csv.ts';
import { readLines } from './reading/lines.ts';

export const DELIMITERS: Record<string, string> = { ',': 'comma', ';': 'semicolon', '\t': 'tab', '|': 'bar' };
/** Rows that are shown. */
const SAMPLE = 3;

/** A file that was chosen, and how it begins. */
export interface Opened {
  file: File;
  delimiter: string;
  header: string[];
  sample: Row[];
}

/**
 * Reads how a file begins.
 *
 * @param given the delimiter; left out: the one that is most often in the first line.
 * @throws {Error} where there is no header, or it cannot be read.
 */
export async function openFile(file: File, given?: string): Promise<Opened> {
  const delimiter = given ?? (await likelyDelimiter(file));
  const { header, rows } = await readCsv(file, delimiter, true);
  const sample: Row[] = [];
  for await (const block of rows) {
    sample.push(...block.filter(({ values }) => values !== null).slice(0, SAMPLE - sample.length));
    if (sample.length === SAMPLE) break;
  }
  return { file, delimiter, header, sample };
}

async function likelyDelimiter(file: File): Promise<string> {
  for await (const lines of readLines(file, () => {})) {
    const first = lines.find(({ text }) => text !== '');
    if (first === undefined) continue;
    const counts = Object.keys(DELIMITERS).map((one) => [first.text.split(one).length, one] as const);
    return counts.reduce((most, one) => (one[0] > most[0] ? one : most))[1];
  }
  return ',';
}

import { sha256 } from './sha256.ts';

/** As `tidemark import` has it: longer ones are refused. */
export const MAX_LINE_BYTES = 1_048_576;

export interface Fault {
  pointer: string;
  code: string;
  message: string;
}

export interface Line {
  /** From 1. */
  number: number;
  /** Without its end. With a fault, a digest of how it begins. */
  text: string;
  /** How it ends; '': the file ends before it does. */
  end: string;
  fault?: Fault;
}

const [LF, CR] = [10, 13];
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The lines of a file, those of a chunk at a time: never more of it is held. What is gzip is decompressed.
 *
 * @param onRead told of each chunk's bytes, as they are in the file.
 * @throws {Error} where the file is UTF-16, damaged, or cannot be read on.
 */
export async function* readLines(file: Blob, onRead: (bytes: number) => void): AsyncGenerator<Line[]> {
  const [first, second] = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  if (first! + second! === 0xff + 0xfe && first! > 0xfd)
    throw new Error('The file is UTF-16; save it as UTF-8.');
  const counted = file.stream().pipeThrough(
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(chunk, controller) {
        onRead(chunk.length);
        controller.enqueue(chunk);
      },
    }),
  );
  const zipped = first === 0x1f && second === 0x8b;
  const reader = (zipped ? counted.pipeThrough(new DecompressionStream('gzip')) : counted).getReader();
  let number = 1;
  let begun = new Uint8Array(0); // of a line whose end has not come yet, as far as it is of interest
  let cut = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const last = value.lastIndexOf(LF);
      if (last >= 0) {
        const lines = decoded(joined(begun, value.subarray(0, last + 1)), number, cut);
        number += lines.length;
        yield lines;
        [begun, cut] = [new Uint8Array(0), false];
      }
      const rest = joined(begun, value.subarray(last + 1));
      begun = rest.slice(0, MAX_LINE_BYTES + 1);
      cut ||= rest.length > begun.length;
    }
    if (begun.length > 0) yield [lineOf(begun, number)];
  } finally {
    reader.cancel().catch(() => {});
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** @param block ends with LF. @param cut its first line lacks what is beyond the longest. */
function decoded(block: Uint8Array, number: number, cut: boolean): Line[] {
  let texts: string[] | null = null;
  try {
    if (!cut) texts = decoder.decode(block).split('\n');
  } catch {
    // some line of it is not UTF-8
  }
  if (texts?.every((text) => text.length <= MAX_LINE_BYTES / 3)) {
    texts.pop();
    return texts.map((text, i) => {
      const marked = number + i === 1 && text.startsWith('\ufeff') ? text.slice(1) : text;
      return marked.endsWith('\r')
        ? { number: number + i, text: marked.slice(0, -1), end: '\r\n' }
        : { number: number + i, text: marked, end: '\n' };
    });
  }
  const lines: Line[] = [];
  for (let from = 0; from < block.length; ) {
    const end = block.indexOf(LF, from);
    lines.push({ ...lineOf(block.subarray(from, end), number + lines.length), end: '\n' });
    if (block[end - 1] === CR && end > from) lines.at(-1)!.end = '\r\n';
    from = end + 1;
  }
  return lines;
}

function lineOf(bytes: Uint8Array, number: number): Line {
  const broken = (code: string, message: string): Line => {
    const text = sha256(bytes.subarray(0, MAX_LINE_BYTES));
    return { number, text, end: '', fault: { pointer: '', code, message } };
  };
  if (bytes.length > MAX_LINE_BYTES) {
    return broken('line_too_long', `the line is longer than ${MAX_LINE_BYTES} bytes`);
  }
  try {
    let text = decoder.decode(bytes);
    if (number === 1 && text.startsWith('\ufeff')) text = text.slice(1);
    return { number, text: text.endsWith('\r') ? text.slice(0, -1) : text, end: '' };
  } catch {
    return broken('invalid_encoding', 'the line is not valid UTF-8');
  }
}

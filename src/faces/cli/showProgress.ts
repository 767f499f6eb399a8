/** How often a line is printed where there is no terminal, and redrawn where there is one, in ms. */
const LINE_MS = 5_000;
const REDRAW_MS = 250;

export interface Progress {
  /** Prints a line without disturbing the progress. */
  note(line: string): void;
  stop(): void;
}

/**
 * Keeps a line of progress on standard error: redrawn on a terminal, printed now and then elsewhere.
 *
 * @param line says how far the work is; empty while there is nothing to say.
 * @param elsewhere whether to print anything where there is no terminal.
 */
export function showProgress(
  line: () => string,
  elsewhere: boolean,
  stream: NodeJS.WriteStream = process.stderr,
): Progress {
  if (!stream.isTTY) {
    const print = () => {
      const text = line();
      if (text !== '') stream.write(`${text}\n`);
    };
    const timer = elsewhere ? setInterval(print, LINE_MS).unref() : undefined;
    return { note: (text) => stream.write(`${text}\n`), stop: () => clearInterval(timer) };
  }
  const draw = () => stream.write(`\r\x1b[K${line().slice(0, stream.columns - 1)}`);
  const timer = setInterval(draw, REDRAW_MS).unref();
  let stopped = false;
  return {
    note(text) {
      stream.write(`\r\x1b[K${text}\n`);
      if (!stopped) draw();
    },
    stop() {
      if (stopped) return;
      stopped = true;
      clearInterval(timer);
      stream.write('\r\x1b[K');
    },
  };
}

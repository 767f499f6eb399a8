import { Presets, SingleBar } from 'cli-progress';
import type { ImportCounts } from './importRows.ts';
import type { Input } from './openInput.ts';

/** How often a line is printed where there is no terminal, in ms. */
const LINE_MS = 5_000;
const BAR_MS = 200;

export interface Progress {
  /** Prints a line without disturbing the bar. */
  note(line: string): void;
  stop(): void;
}

/**
 * Shows how far an import is: a bar on a terminal, else a line every five seconds. Bytes are those of the file on
 * disk, so that what remains is right for a compressed one too.
 */
export function showProgress(
  input: Input,
  counts: ImportCounts,
  stream: NodeJS.WriteStream = process.stderr,
): Progress {
  const started = performance.now();
  const total = input.totalBytes;
  const figures = () => {
    const seconds = (performance.now() - started) / 1_000;
    const read = input.readBytes();
    return {
      read: bytes(read),
      size: total === null ? '' : ` of ${bytes(total)}`,
      rows: counts.rows.toLocaleString('en'),
      rate: Math.round(counts.rows / Math.max(seconds, 0.001)).toLocaleString('en'),
      remaining:
        total === null
          ? ''
          : `, ${read === 0 ? '?' : duration((seconds * Math.max(0, total - read)) / read)} left`,
      bad: counts.badLines === 0 ? '' : `, ${counts.badLines.toLocaleString('en')} bad lines`,
    };
  };
  if (!stream.isTTY || total === null) {
    const print = () => {
      const { read, size, rows, rate, remaining, bad } = figures();
      stream.write(`${read}${size}, ${rows} rows, ${rate} rows/s${remaining}${bad}\n`);
    };
    const timer = setInterval(print, LINE_MS).unref();
    return { note: (line) => stream.write(`${line}\n`), stop: () => clearInterval(timer) };
  }
  const bar = new SingleBar(
    {
      stream,
      gracefulExit: false,
      clearOnComplete: true,
      barsize: 12,
      linewrap: true,
      format: '{bar} {percentage} %  {read}{size}  {rows} rows  {rate}/s{remaining}{bad}',
    },
    Presets.shades_classic,
  );
  bar.start(Math.max(1, total), 0, figures());
  const draw = () => bar.update(input.readBytes(), figures());
  const timer = setInterval(draw, BAR_MS).unref();
  return {
    note(line) {
      stream.write(`\r\x1b[K${line}\n`);
      draw();
    },
    stop() {
      clearInterval(timer);
      draw();
      bar.stop();
    },
  };
}

/** In the largest unit that gives at least one. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = count < 1_000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  return `${(count / 1_000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

/** Seconds as `5 s`, `2:05` (minutes) or `1:02:05`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const padded = (value: number) => String(value).padStart(2, '0');
  const minutes = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3_600);
  return hours === 0
    ? `${minutes}:${padded(whole % 60)}`
    : `${hours}:${padded(minutes)}:${padded(whole % 60)}`;
}

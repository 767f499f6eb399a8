import { table } from '../../bench/support/table.ts';
import type { Figures } from './trial.ts';

const seconds = (ms: number) => (ms / 1_000).toFixed(1);
const whole = (value: number) => Math.round(value).toLocaleString('en-US');

/** The fault table of one engine, in Markdown. */
export function faultTable(rows: Figures[]): string {
  const head = [
    'fault',
    'times',
    'requests',
    'answered 200 / 503 / not',
    'events acknowledged',
    'lost',
    'twice',
    'longest post s',
    'longest read s',
    'recovery p50 / max s',
    'not ready after s',
    'queue max',
    'RSS max MB',
    'failed checks',
  ];
  return table(
    head,
    rows.map((row) => {
      const ok = row.outcomes['200'] ?? 0;
      const busy = row.outcomes['503'] ?? 0;
      return [
        row.description,
        String(row.times),
        whole(row.requests),
        [ok, busy, row.requests - ok - busy].map(whole).join(' / '),
        whole(row.acknowledged),
        String(row.lost),
        String(row.twice),
        seconds(row.longestPost),
        seconds(row.longestRead),
        row.recovery ? `${seconds(row.recovery.p50)} / ${seconds(row.recovery.max)}` : '–',
        row.noticedMax === null ? '–' : seconds(row.noticedMax),
        whole(row.queueMax),
        whole(row.rssMax),
        String(row.problems.length),
      ];
    }),
  );
}

/** What the figures do not say: exits, and every check that has failed. */
export function remarks(rows: Figures[]): string[] {
  return rows.flatMap((row) => [
    ...(row.exitMax === null ? [] : [`${row.fault}: longest exit ${seconds(row.exitMax)} s`]),
    ...row.problems.map((problem) => `${row.fault}: FAILED: ${problem}`),
  ]);
}

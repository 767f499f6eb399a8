import { aheadOf, clockOf, dayOf } from '../format/times.ts';

const MINUTE = 60_000;
const DAY = 1_440 * MINUTE;
/** Between times below an axis, in ms: what a clock or a calendar shows. */
const STEPS = [
  ...[1 / 60, 1 / 12, 1 / 6, 1 / 4, 1 / 2, 1, 5, 10, 15, 30, 60, 120, 180, 360, 720].map((n) => n * MINUTE),
  ...[1, 2, 3, 5, 7, 14, 30, 60, 90, 180, 365, 730, 1_825, 3_650].map((n) => n * DAY),
];

/** Round values from 0 up to the greatest, and from 0 down to the least, so many at most. */
export function valueTicks(least: number, greatest: number, most: number): number[] {
  const rough = (greatest - least) / Math.max(1, most);
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * ([1, 2, 5].find((n) => n * unit >= rough) ?? 10);
  const ticks: number[] = [];
  for (let i = Math.ceil(least / step); i * step <= greatest; i++)
    ticks.push(Number((i * step).toPrecision(12)) + 0); // no −0
  return ticks;
}

/** Times, in ms, at which clocks of the zone show round ones, so many at most, with what they show. */
export function timeTicks(
  from: number,
  to: number,
  most: number,
  zone: string,
): { at: number; text: string[] }[] {
  const step = STEPS.find((length) => (to - from) / length <= most) ?? STEPS.at(-1)!;
  const start = Math.ceil((from + aheadOf(from, zone)) / step) * step;
  const ticks: { at: number; text: string[] }[] = [];
  let before = '';
  for (let shown = start; ; shown += step) {
    const near = shown - aheadOf(from, zone);
    const at = shown - aheadOf(near, zone);
    if (at > to) return ticks;
    const day = dayOf(at, zone).slice(step < 60 * DAY ? 5 : 0);
    const clock = clockOf(at, zone).slice(0, step < MINUTE ? 8 : 5);
    ticks.push({ at, text: step < DAY ? [clock, day === before ? '' : day] : [day] });
    before = day;
  }
}

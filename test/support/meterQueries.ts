import { expect } from 'vitest';
import { type Ask, allPages } from './compareSummaries.ts';
import { iso, type MeterModel, type ModelMeter, type ModelPoint, type ModelQuery } from './meterModel.ts';

const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
/** Of 30 seconds, that one query may have; less what is cut at its edges. */
const MOST_WINDOWS = 9_998;

const WINDOWS: Record<string, ModelQuery['window']> = {
  '30s': { ms: 30_000, aheadMs: 0 },
  '1m': { ms: MINUTE, aheadMs: 0 },
  '5m': { ms: 5 * MINUTE, aheadMs: 0 },
  '15m': { ms: 15 * MINUTE, aheadMs: 0 },
  '1h': { ms: HOUR, aheadMs: 0 },
  '1d': { ms: DAY, aheadMs: 0 },
  '1mo': 'month',
};
const KOLKATA = { ms: DAY, aheadMs: 5.5 * HOUR };
/** Values of dimensions, most of them there. */
const VALUES = ['eu', 'us', 'a', 'true', '5', '/a', '', 'ap', 'b', '/api/embed', 'order-1', 'gpt-4'];

export type ServedPoint = ModelPoint & { number: number | null; state: string; revision: number };

/** A query as the model takes it, and as it is sent. */
export interface MeterQueryCase {
  query: ModelQuery;
  parameters: [string, string][];
}

/** A query of a meter somewhere in [from, to) ms: any granularity, groups, customers and filters, ranges with odd ends. */
export function randomMeterQuery(
  random: () => number,
  meter: ModelMeter,
  span: { from: number; to: number },
  customers: readonly string[],
): MeterQueryCase {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const granularity = random() < 0.25 ? null : pick(Object.keys(WINDOWS));
  const isKolkata = granularity === '1d' && random() < 0.5;
  const edge = () => Math.floor((span.from + random() * (span.to - span.from)) * 1_000);
  const aligned = pick([0, 30_000, HOUR, DAY]) * 1_000;
  const [a, b] = [edge(), edge()];
  const align = (micros: number) => (aligned === 0 ? micros : Math.floor(micros / aligned) * aligned);
  const fromMicros = align(Math.min(a, b));
  const longest = fromMicros + MOST_WINDOWS * 30_000_000;
  const toMicros = Math.min(longest, Math.max(fromMicros + 1, align(Math.max(a, b))));
  const names = ['customer', ...Object.keys(meter.dimensions)];
  const groupBy = names.filter(() => random() < 0.4).sort(() => random() - 0.5);
  const asked = random() < 0.3 ? [pick(customers), pick(customers), 'nobody'] : null;
  const filters: ModelQuery['filters'] = {};
  const parameters: [string, string][] = [
    ['from', iso(fromMicros)],
    ['to', iso(toMicros)],
    ['limit', String(pick([1_000, 1_000, 1_000, 7]))],
  ];
  if (granularity !== null) parameters.push(['granularity', granularity]);
  if (isKolkata) parameters.push(['timezone', 'Asia/Kolkata']);
  if (groupBy.length > 0) parameters.push(['groupBy', groupBy.join(',')]);
  for (const customer of asked ?? []) parameters.push(['customerId', customer]);
  const without: string[] = [];
  for (const name of Object.keys(meter.dimensions)) {
    if (random() > 0.2) continue;
    const values = [pick(VALUES), pick(VALUES)];
    for (const value of values) parameters.push([`filter[${name}]`, value]);
    filters[name] = values;
    if (random() > 0.3) continue;
    filters[name].push(null);
    without.push(name);
  }
  if (without.length > 0) parameters.push(['without', without.join(',')]);
  const window = isKolkata ? KOLKATA : granularity === null ? null : WINDOWS[granularity]!;
  return { query: { fromMicros, toMicros, window, groupBy, customers: asked, filters }, parameters };
}

/** All pages of a meter's answer. */
export function readMeter(
  ask: Ask,
  key: string,
  slug: string,
  parameters: [string, string][],
): Promise<ServedPoint[]> {
  return allPages(ask, `/v1/meters/${slug}/query?${new URLSearchParams(parameters)}`, key);
}

/** Holds an answer against the model. @returns its rows. */
export async function expectMeter(
  ask: Ask,
  key: string,
  model: MeterModel,
  meter: ModelMeter,
  { query, parameters }: MeterQueryCase,
): Promise<ServedPoint[]> {
  const rows = await readMeter(ask, key, meter.body.slug, parameters);
  const where = `${JSON.stringify(meter.body)} ${new URLSearchParams(parameters)}`;
  const points = rows.map(({ state: _, revision: __, number: ___, ...point }) => point);
  expect({ where, points }).toEqual({ where, points: model.query(meter, query) });
  for (const { value, number } of rows) expect(number).toBe(value === null ? null : Number(value));
  return rows;
}

/** Holds the values of a meter's dimensions against the model. */
export async function expectMeterValues(
  ask: Ask,
  key: string,
  model: MeterModel,
  meter: ModelMeter,
  range: { fromMicros: number; toMicros: number },
): Promise<void> {
  const search = new URLSearchParams({ from: iso(range.fromMicros), to: iso(range.toMicros), limit: '5' });
  for (const name of ['customer', ...Object.keys(meter.dimensions)]) {
    const found = await allPages(ask, `/v1/meters/${meter.body.slug}/values/${name}?${search}`, key);
    expect(found, `${meter.body.slug} ${name}`).toEqual(model.values(meter, name, range));
  }
}

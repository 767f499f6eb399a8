import { type Family, post } from '../hostileRequest.ts';

const YEARS = [
  '0000',
  '0001',
  '1582',
  '1969',
  '1970',
  '2000',
  '2024',
  '2026',
  '2038',
  '2262',
  '9999',
  '10000',
  '-0001',
  '+002026',
  '+275760',
  '26',
  '',
];
const MONTHS = ['00', '01', '02', '06', '12', '13', '1', '99'];
const DAYS = ['00', '01', '28', '29', '30', '31', '32', '1', '99'];
const TIMES = [
  '00:00:00',
  '23:59:59',
  '23:59:60',
  '24:00:00',
  '24:00:01',
  '25:00:00',
  '12:60:00',
  '12:00',
  '12',
  '',
  '12:00:61',
  '-1:00:00',
  '12:00:00,5',
];
const FRACTIONS = [
  '',
  '.',
  '.0',
  '.999',
  '.999999',
  '.9999999',
  '.000000000000000000001',
  `.${'9'.repeat(40)}`,
  '.x',
];
const ZONES = [
  'Z',
  'z',
  '',
  '+00:00',
  '-00:00',
  '+14:00',
  '-12:00',
  '+23:59',
  '+24:00',
  '+99:99',
  '+0000',
  '+00',
  'UTC',
  ' Z',
  '+1:00',
  '[Europe/Berlin]',
  'ZZ',
];
const OTHERS = [
  'now',
  'infinity',
  '-infinity',
  'epoch',
  'today',
  'tomorrow',
  '2026-W01',
  '2026-001',
  '20260101T000000Z',
  '1767225600',
  '1767225600000',
  'Thu, 01 Jan 2026 00:00:00 GMT',
  '2026-01-01 00:00:00Z',
  '２０２６-01-01T00:00:00Z',
  '0001-01-01T00:00:00Z BC',
  'allballs',
];
const SECOND = 1_000;
const DAY = 86_400_000;

/** Moments at the edge of the calendar, of what is written as one, and of what is accepted. */
export const dates: Family = (a) => {
  const written = () =>
    `${a.pick(YEARS)}-${a.pick(MONTHS)}-${a.pick(DAYS)}${a.pick(['T', 'T', 't', ' ', ''])}${a.pick(TIMES)}${a.pick(FRACTIONS)}${a.pick(ZONES)}`;
  const near = () => {
    const edge = a.pick([0, 600 * SECOND, -30 * DAY, -35 * DAY, -30 * SECOND, 365 * DAY]);
    return new Date(
      Date.now() + edge + Math.floor(a.random() * 6 - 3) * a.pick([1, 1, SECOND]),
    ).toISOString();
  };
  const moment = a.pick([written, written, near, () => a.pick(OTHERS)]);
  if (a.random() < 0.6) return post(a, JSON.stringify({ ...a.event(), timestamp: moment() }));
  const path = a.pick([
    '/v1/events',
    '/v1/windows',
    '/v1/usage',
    '/v1/summaries/hourly',
    '/v1/summaries/daily',
  ]);
  const query = new URLSearchParams({ from: moment(), ...(a.random() < 0.7 && { to: moment() }) });
  return { method: 'GET', path: `${path}?${query}`, headers: { authorization: `Bearer ${a.key}` } };
};

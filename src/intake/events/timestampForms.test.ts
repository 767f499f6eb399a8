import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTimestamp, timestampFault } from '../../model/timestamp.ts';

const micros = (iso: string, rest = 0) => Date.parse(iso) * 1_000 + rest;
const moment = fc.date({
  min: new Date('1970-01-02T00:00:00Z'),
  max: new Date('2254-12-30T00:00:00Z'),
  noInvalidDate: true,
});
const pad = (value: number, digits = 2) => String(value).padStart(digits, '0');

describe('the forms of ISO 8601 and RFC 3339', () => {
  it.each([
    ['no seconds, as Java prints a whole minute', '2026-11-27T17:37Z', micros('2026-11-27T17:37:00Z')],
    ['no minutes', '2026-11-27T17Z', micros('2026-11-27T17:00:00Z')],
    ['no seconds, with an offset', '2026-11-27T17:37-03:30', micros('2026-11-27T21:07:00Z')],
    ["PostgreSQL's own", '2026-11-01 00:00:00+00', micros('2026-11-01T00:00:00Z')],
    ["PostgreSQL's own, with a fraction", '2026-11-01 00:00:00.25+05:30', micros('2026-10-31T18:30:00.250Z')],
    ['an offset of hours', '2026-11-01T02:00:00+02', micros('2026-11-01T00:00:00Z')],
    ['an offset without a colon', '2026-11-01T00:00:00+0000', micros('2026-11-01T00:00:00Z')],
    ['an offset west without a colon', '2026-11-01T00:00:00.5-0330', micros('2026-11-01T03:30:00.500Z')],
    ['a true minus sign', '2026-11-01T00:00:00\u221203:30', micros('2026-11-01T03:30:00Z')],
    ['a comma before the fraction', '2026-11-01T00:00:00,123456Z', micros('2026-11-01T00:00:00.123Z', 456)],
    [
      'a comma, and more digits than are kept',
      '2026-11-01T00:00:00,1234569Z',
      micros('2026-11-01T00:00:00.123Z', 456),
    ],
    ['lower case', '2026-11-01t00:00z', micros('2026-11-01T00:00:00Z')],
    ['the basic format', '20261127T173700Z', micros('2026-11-27T17:37:00Z')],
    ['the basic format, all of it', '20261127T173700.5+0200', micros('2026-11-27T15:37:00.500Z')],
    ['the basic format without seconds', '20261127T1737Z', micros('2026-11-27T17:37:00Z')],
    ['the end of a day', '2026-11-27T24:00:00Z', micros('2026-11-28T00:00:00Z')],
    ['the end of a year', '2026-12-31T24:00Z', micros('2027-01-01T00:00:00Z')],
    ['the end of a day elsewhere', '2026-11-27T24:00:00.000+02:00', micros('2026-11-27T22:00:00Z')],
  ])('%s: %s', (_, text, expected) => {
    expect(parseTimestamp(text)).toBe(expected);
  });

  it('puts a leap second into the day that it ends', () => {
    const last = micros('2027-01-01T00:00:00Z') - 1;
    for (const text of [
      '2026-12-31T23:59:60Z',
      '2026-12-31T23:59:60.75Z',
      '20261231T235960Z',
      '2027-01-01T00:59:60+01:00',
      '2026-12-31T15:59:60-08:00',
    ]) {
      expect([text, parseTimestamp(text)]).toEqual([text, last]);
    }
  });

  it.each([
    '2026-11-27T17:36:60Z',
    '2026-12-31T23:59:60+01:00',
    '2026-12-31T23:59:61Z',
    '2026-11-27T24:00:01Z',
    '2026-11-27T24:00:00.0001Z',
    '2026-11-27T24:30Z',
    '2026-11-27T25:00Z',
    '2026-11-27T1737Z',
    '20261127T17:37Z',
    '2026-02-30T00:00Z',
    '2026-11-27T17:37,5Z',
    '2026-11-27T17:37:00+2',
    '2026-11-27T17:37:00+2400',
    '2026-11-27T17:37:00 +00:00',
    '2026-11-27T17:37',
    '2026-11-27',
    '2026-W48-5T17:37Z',
    '2026-331T17:37Z',
    '+002026-11-27T17:37Z',
    ' 2026-11-27T17:37Z',
    'tomorrow',
    '',
  ])('refuses %j', (text) => {
    expect(parseTimestamp(text)).toBeNaN();
  });

  it('is the same moment in every form', () => {
    fc.assert(
      fc.property(
        moment,
        fc.constantFrom('-', ''),
        fc.constantFrom('T', 't', ' '),
        fc.constantFrom('.', ','),
        fc.integer({ min: -14 * 4, max: 14 * 4 }),
        fc.constantFrom(':', ''),
        (date, extended, separator, point, quarters, colon) => {
          const local = new Date(date.getTime() + quarters * 900_000);
          const iso = local.toISOString();
          const day = iso.slice(0, 10).replaceAll('-', extended);
          const time = iso.slice(11, 19).replaceAll(':', extended === '' ? '' : ':');
          const minutes = Math.abs(quarters * 15);
          const zone = `${quarters < 0 ? '-' : '+'}${pad(Math.floor(minutes / 60))}${colon}${pad(minutes % 60)}`;
          const text = `${day}${separator}${time}${point}${pad(date.getMilliseconds(), 3)}${zone}`;
          expect([text, parseTimestamp(text)]).toEqual([text, date.getTime() * 1_000]);
        },
      ),
    );
  });
});

describe('numbers of a length that tells their unit', () => {
  it.each([
    ['1764232620', micros('2025-11-27T08:37:00Z')],
    ['1764232620.5', micros('2025-11-27T08:37:00.500Z')],
    ['1764232620.1234567', micros('2025-11-27T08:37:00.123Z', 456)],
    ['1764232620123', micros('2025-11-27T08:37:00.123Z')],
    ['1764232620123.456', micros('2025-11-27T08:37:00.123Z', 456)],
    ['1764232620123456', micros('2025-11-27T08:37:00.123Z', 456)],
    ['1764232620123456789', micros('2025-11-27T08:37:00.123Z', 456)],
  ])('%s', (text, expected) => {
    expect(parseTimestamp(text)).toBe(expected);
  });

  it.each(['0', '176423262', '17642326201', '20261127173700', '12345678901234567890', '-1764232620', '1e9'])(
    'refuses %s, of which nobody can tell',
    (text) => {
      expect(parseTimestamp(text)).toBeNaN();
    },
  );
});

it('says what is missing', () => {
  expect(timestampFault('17642326201')).toMatch(/10 digits \(seconds since 1970\), 13 \(ms\)/);
  expect(timestampFault('2026-11-27T17:37')).toMatch(/this one has none/);
  expect(timestampFault('2026-W48-5T17:37Z')).toMatch(/no week or ordinal date/);
  expect(timestampFault('2026-331T17:37Z')).toMatch(/no week or ordinal date/);
  expect(timestampFault('+002026-331T17:37Z')).toMatch(/no week or ordinal date/);
  for (const basic of ['20261127T250000Z', '20261127T17:37Z', '20261127T1737,5Z', '20261127']) {
    expect([basic, timestampFault(basic)]).not.toEqual([basic, expect.stringMatching(/no week/)]);
  }
  expect(timestampFault('tomorrow')).toMatch(/ISO 8601 date-time with a zone/);
});

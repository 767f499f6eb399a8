import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatTimestamp, parseTimestamp } from './timestamp.ts';

const moment = fc.date({
  min: new Date('0001-01-02T00:00:00Z'),
  max: new Date('9999-12-30T00:00:00Z'),
  noInvalidDate: true,
});
const pad = (value: number) => String(value).padStart(2, '0');

describe('parseTimestamp', () => {
  it('agrees with Date on every millisecond of the years 1 to 9999', () => {
    fc.assert(
      fc.property(moment, (date) => {
        expect(parseTimestamp(date.toISOString())).toBe(date.getTime() * 1_000);
      }),
    );
  });

  it('agrees with Date on offsets', () => {
    fc.assert(
      fc.property(
        moment,
        fc.constantFrom('+', '-'),
        fc.integer({ min: 0, max: 23 }),
        fc.integer({ min: 0, max: 59 }),
        (date, sign, hours, minutes) => {
          const text = `${date.toISOString().slice(0, -1)}${sign}${pad(hours)}:${pad(minutes)}`;
          expect(parseTimestamp(text)).toBe(Date.parse(text) * 1_000);
        },
      ),
    );
  });

  it('keeps microseconds and cuts off what is finer', () => {
    fc.assert(
      fc.property(moment, fc.stringMatching(/^\d{1,30}$/), (date, fraction) => {
        const second = Math.floor(date.getTime() / 1_000);
        const text = `${new Date(second * 1_000).toISOString().slice(0, 19)}.${fraction}Z`;
        const micros = Number(fraction.slice(0, 6).padEnd(6, '0'));
        expect(parseTimestamp(text)).toBe(second * 1_000_000 + micros);
      }),
    );
  });

  it('takes whatever RFC 3339 leaves open', () => {
    const expected = Date.UTC(2026, 10, 21, 10) * 1_000;
    for (const text of [
      '2026-11-21T10:00:00Z',
      '2026-11-21t10:00:00z',
      '2026-11-21 10:00:00Z',
      '2026-11-21T10:00:00-00:00',
      '2026-11-21T12:00:00+02:00',
      '2026-11-20T10:01:00-23:59',
    ]) {
      expect([text, parseTimestamp(text)]).toEqual([text, expected]);
    }
  });

  it('reads a time without a zone only when told to', () => {
    const text = '2023-11-16 18:17:03.9799600';
    expect(parseTimestamp(text)).toBeNaN();
    expect(parseTimestamp(text, 'utc')).toBe(Date.UTC(2023, 10, 16, 18, 17, 3) * 1_000 + 979_960);
    expect(parseTimestamp(`${text}+01:00`, 'utc')).toBe(parseTimestamp(`${text}+01:00`));
    expect(parseTimestamp(`${text} `, 'utc')).toBeNaN();
  });

  it('knows every day of four hundred years, and no other', () => {
    for (let year = 1900; year < 2300; year++) {
      for (let month = 1; month <= 12; month++) {
        const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
        for (let day = 28; day <= 32; day++) {
          const text = `${year}-${pad(month)}-${pad(day)}T00:00:00Z`;
          const expected = day <= days ? Date.UTC(year, month - 1, day) * 1_000 : Number.NaN;
          if (!Object.is(parseTimestamp(text), expected)) expect([text, parseTimestamp(text)]).toBe(expected);
        }
      }
    }
  });

  it('refuses a valid time with one character changed, unless that is valid too', () => {
    const strict =
      /^(\d{4})-(\d\d)-(\d\d)[Tt ]([01]\d|2[0-3])(:[0-5]\d(:[0-5]\d([.,]\d+)?)?)?([Zz]|[+\-\u2212]([01]\d|2[0-3])(:?[0-5]\d)?)$/;
    const isValid = (text: string) => {
      const match = strict.exec(text);
      if (!match) return false;
      const [year, month, day] = match.slice(1, 4).map(Number) as [number, number, number];
      if (year === 0 || month < 1 || month > 12 || day < 1) return false;
      const lastDay = new Date(0);
      lastDay.setUTCFullYear(year, month, 0);
      return day <= lastDay.getUTCDate();
    };
    const texts = fc.constantFrom(
      '2026-11-21T10:00:00Z',
      '2024-02-29T23:59:59.999999Z',
      '2026-11-21T10:00:00.5+02:30',
    );
    const character = fc.oneof(
      fc.string({ minLength: 0, maxLength: 2 }),
      fc.constantFrom(...'0123456789:-+.TZ '),
    );
    fc.assert(
      fc.property(texts, fc.nat(), character, fc.boolean(), (text, at, replacement, insert) => {
        const i = at % (text.length + 1);
        const changed = text.slice(0, i) + replacement + text.slice(insert ? i : i + 1);
        expect([changed, !Number.isNaN(parseTimestamp(changed))]).toEqual([changed, isValid(changed)]);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('formatTimestamp', () => {
  it('gives back what parseTimestamp has read', () => {
    fc.assert(
      fc.property(moment, fc.integer({ min: 0, max: 999 }), (date, rest) => {
        const micros = date.getTime() * 1_000 + rest;
        // Beyond 2^53 µs, after the year 2255, a number no longer tells neighbouring microseconds apart.
        fc.pre(Number.isSafeInteger(micros));
        expect(parseTimestamp(formatTimestamp(micros))).toBe(micros);
      }),
    );
  });

  it('writes microseconds only where there are any', () => {
    expect(formatTimestamp(0)).toBe('1970-01-01T00:00:00.000Z');
    expect(formatTimestamp(1_001)).toBe('1970-01-01T00:00:00.001001Z');
    expect(formatTimestamp(-1)).toBe('1969-12-31T23:59:59.999999Z');
  });
});

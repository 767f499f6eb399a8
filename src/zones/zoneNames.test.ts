import { describe, expect, it, test } from 'vitest';
import { isUtc, namesOf } from './zoneNames.ts';

describe('namesOf', () => {
  it.each([
    'Europe/Berlin',
    'America/Argentina/Ushuaia',
    'Etc/GMT+12',
    'Etc/GMT-14',
    'Antarctica/DumontDUrville',
  ])('asks for %s as it is', (name) => expect(namesOf(name)[0]).toBe(name));

  test('of one place, the others after the one that was asked for, in any case', () => {
    expect(namesOf('Antarctica/DumontDUrville')).toEqual(['Antarctica/DumontDUrville']);
    expect(namesOf('Asia/Calcutta')).toEqual(['Asia/Calcutta', 'Asia/Kolkata']);
    expect(namesOf('asia/kolkata')).toEqual(['asia/kolkata', 'Asia/Kolkata', 'Asia/Calcutta']);
    expect(namesOf('Europe/Kyiv').slice(0, 2)).toEqual(['Europe/Kyiv', 'Europe/Kiev']);
    expect(namesOf('posix/Europe/Kiev').slice(0, 2)).toEqual(['Europe/Kiev', 'Europe/Kyiv']);
  });

  test('never for what may be an abbreviation, but for its place', () => {
    expect(namesOf('CET')).toEqual(['Europe/Brussels']);
    expect(namesOf('EST5EDT')).toContain('America/New_York');
    expect(namesOf('Cuba')).toEqual(['America/Havana']);
    for (const name of [
      'CET',
      'EET',
      'MET',
      'WET',
      'EST',
      'MST',
      'HST',
      'PST8PDT',
      'NZ',
      'GB-Eire',
      'W-SU',
    ]) {
      expect(namesOf(name).length).toBeGreaterThan(0);
      for (const asked of namesOf(name)) expect(asked).toContain('/');
    }
  });

  it.each([
    ...['', 'Nowhere', 'IST', 'CEST', '+02:00', 'UTC\0', `UTC'`, '/', 'Foo/Bar+3', 'Etc/GMT+13', 'GMT+5'],
    ...['../etc/passwd', 'Europe/../Berlin', 'a/b/c/d/e', '<+03>-3', ':Europe/Berlin', 'Europe/Berlin '],
  ])('asks for nothing where "%s" cannot be a zone', (name) => expect(namesOf(name)).toEqual([]));
});

test('UTC has many names', () => {
  for (const name of ['UTC', 'GMT', 'utc', 'Etc/UTC', 'Zulu', 'Etc/Greenwich', 'GMT0'])
    expect(isUtc(name)).toBe(true);
  for (const name of ['Europe/London', 'Etc/GMT+1', 'Africa/Abidjan']) expect(isUtc(name)).toBe(false);
});

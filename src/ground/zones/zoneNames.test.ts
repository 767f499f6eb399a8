import { describe, expect, it, test } from 'vitest';
import { TidemarkError } from '../../model/errors.ts';
import { isUtc, namesOf } from './zoneNames.ts';

describe('namesOf', () => {
  it.each(['Europe/Berlin', 'America/Argentina/Ushuaia', 'Etc/GMT+12', 'Etc/GMT-14', 'asia/kolkata'])(
    'asks for %s as it is',
    (name) => expect(namesOf(name)[0]).toBe(name),
  );

  test('of one place, the others after the one that was asked for, in any case', () => {
    expect(namesOf('Antarctica/DumontDUrville')).toEqual(['Antarctica/DumontDUrville']);
    expect(namesOf('Asia/Calcutta')).toEqual(['Asia/Calcutta', 'Asia/Kolkata']);
    expect(namesOf('asia/kolkata')).toEqual(['asia/kolkata', 'Asia/Kolkata', 'Asia/Calcutta']);
    expect(namesOf('Europe/Kyiv').slice(0, 2)).toEqual(['Europe/Kyiv', 'Europe/Kiev']);
    expect(namesOf('posix/Europe/Kiev').slice(0, 2)).toEqual(['Europe/Kiev', 'Europe/Kyiv']);
  });

  test('for a word by its place, since PostgreSQL might take it for an abbreviation', () => {
    expect(namesOf('EST5EDT')).toContain('America/New_York');
    expect(namesOf('Cuba')).toEqual(['America/Havana']);
    for (const name of ['PST8PDT', 'NZ', 'GB-Eire', 'W-SU', 'ROC', 'Japan']) {
      for (const asked of namesOf(name)) expect(asked).toContain('/');
    }
  });

  it.each([
    ...[
      '',
      'Nowhere',
      'IST',
      'CET',
      'CEST',
      'EST',
      '+02:00',
      'UTC\0',
      `UTC'`,
      '/',
      'Foo/Bar+3',
      'Etc/GMT+13',
    ],
    ...[
      'GMT+5',
      '../etc/passwd',
      'Europe/../Berlin',
      'a/b/c/d/e',
      '<+03>-3',
      ':Europe/Berlin',
      'Europe/Berlin ',
    ],
    ...['right/Europe/Berlin', 'RIGHT/Etc/UTC', 'posix/right/Asia/Kolkata'],
  ])('refuses "%s"', (name) => {
    expect(() => namesOf(name)).toThrow(TidemarkError);
    expect(() => namesOf(name)).toThrow(expect.objectContaining({ code: 'timezone_invalid' }));
  });
});

test('UTC has many names', () => {
  for (const name of ['UTC', 'GMT', 'utc', 'Etc/UTC', 'Zulu', 'Etc/Greenwich', 'GMT0']) {
    expect(isUtc(name)).toBe(true);
  }
  for (const name of ['Europe/London', 'Etc/GMT+1', 'Africa/Abidjan']) expect(isUtc(name)).toBe(false);
});

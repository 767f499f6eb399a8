/**
 * How far a clock is ahead of UTC, in minutes, by a compiled time zone file (RFC 9636). Behind the last change that the
 * file lists it is the standard time of the rule that holds from then on: the rule's summer time is not looked at.
 *
 * @param file of any version.
 * @param at a moment in ms since the epoch.
 * @throws when it is no such file.
 */
export function minutesAhead(file: Buffer, at: number): number {
  if (file.toString('latin1', 0, 4) !== 'TZif') throw new Error('not a time zone file');
  const isLong = file[4]! >= 0x32; // from version 2 on, all is there once more with 64 bits
  const start = isLong ? endOf(file, 0, 4) : 0;
  const size = isLong ? 8 : 4;
  const { times, types } = counts(file, start);
  const header = start + 44;
  const moments = Array.from({ length: times }, (_, i) => {
    const position = header + i * size;
    return isLong ? Number(file.readBigInt64BE(position)) : file.readInt32BE(position);
  });
  const seconds = at / 1_000;
  const next = moments.findIndex((moment) => moment > seconds);
  const last = next === -1 ? times : next;
  const rule = isLong && next === -1 ? standardTime(file, endOf(file, start, size)) : undefined;
  if (rule !== undefined) return rule;
  const type = last === 0 ? 0 : file[header + times * size + last - 1]!;
  if (type >= types) throw new Error('not a time zone file');
  return file.readInt32BE(header + times * (size + 1) + type * 6) / 60;
}

function counts(file: Buffer, start: number) {
  const [isUtc, isStandard, leaps, times, types, letters] = [20, 24, 28, 32, 36, 40].map((offset) =>
    file.readUInt32BE(start + offset),
  );
  return {
    ...{ isUtc: isUtc!, isStandard: isStandard!, leaps: leaps! },
    ...{ times: times!, types: types!, letters: letters! },
  };
}

/** Where the block that begins at `start` ends. */
function endOf(file: Buffer, start: number, size: number): number {
  const { isUtc, isStandard, leaps, times, types, letters } = counts(file, start);
  return start + 44 + times * (size + 1) + types * 6 + letters + leaps * (size + 4) + isStandard + isUtc;
}

/** Of the rule at the end, as POSIX writes it (`EST5EDT,M3.2.0,M11.1.0`); undefined where there is none. */
function standardTime(file: Buffer, start: number): number | undefined {
  const rule = /^(?:<[^>]+>|[A-Za-z]+)([+-]?)(\d+)(?::(\d+))?/.exec(file.toString('latin1', start + 1));
  if (!rule) return undefined;
  const behind = Number(rule[2]) * 60 + Number(rule[3] ?? 0);
  return rule[1] === '-' || behind === 0 ? behind : -behind;
}

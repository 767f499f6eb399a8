import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ZONE_CHANGES } from '../zones/zoneRules.ts';
import { newerZones, rulesOf } from './newestZones.ts';
import { minutesAhead } from './tzif.ts';

const AT = Date.UTC(2026, 5, 1);

/** A file of version 2 with one change, and a rule behind it. */
function zoneFile(before: number, after: number, changedAt: number, rule: string): Buffer {
  const block = (times: [number, number][], size: 4 | 8) => {
    const header = Buffer.alloc(44);
    header.write('TZif2');
    const types = [before, after];
    [0, 0, 0, times.length, types.length, 4].forEach((count, i) => {
      header.writeUInt32BE(count, 20 + i * 4);
    });
    const moments = times.map(([at]) => {
      const moment = Buffer.alloc(size);
      if (size === 8) moment.writeBigInt64BE(BigInt(at));
      else moment.writeInt32BE(at);
      return moment;
    });
    const kinds = types.map((minutes) => {
      const kind = Buffer.alloc(6);
      kind.writeInt32BE(minutes * 60);
      return kind;
    });
    return Buffer.concat([
      header,
      ...moments,
      Buffer.from(times.map(([, type]) => type)),
      ...kinds,
      Buffer.from('LMT\0'),
    ]);
  };
  const times: [number, number][] = [[changedAt / 1_000, 1]];
  return Buffer.concat([block([], 4), block(times, 8), Buffer.from(`\n${rule}\n`)]);
}

async function folderOf(zones: Record<string, number>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'zones-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [name, minutes] of Object.entries({ UTC: 0, 'Asia/Kolkata': 330, ...zones })) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), zoneFile(0, minutes, 0, ''));
  }
  return folder;
}

test('a file says how far its clock is ahead, by its changes and behind them by its rule', () => {
  const file = zoneFile(-60, -120, AT, 'EST5EDT,M3.2.0,M11.1.0');
  expect([AT - 1_000, AT, AT + 1_000].map((at) => minutesAhead(file, at))).toEqual([-60, -300, -300]);
  expect(minutesAhead(zoneFile(0, 90, AT, ''), AT)).toBe(90);
  expect(minutesAhead(zoneFile(0, 0, AT, '<+0545>-5:45'), AT)).toBe(345);
  expect(() => minutesAhead(Buffer.from('no zone'), AT)).toThrow();
});

test('the newest folder is taken, and the own one where none is newer', async () => {
  const all = Object.fromEntries(ZONE_CHANGES.map(({ zone, aheadMinutes }) => [zone, aheadMinutes]));
  const newest = await folderOf(all);
  const own = await folderOf({ ...all, 'America/Havana': -300, 'America/Winnipeg': -360 });
  expect((await rulesOf(own)).release).toBe('2026d');
  const older = await folderOf({ ...all, 'America/Vancouver': -480 });
  expect(await newerZones(own, ['/nowhere', older, newest])).toEqual({ folder: newest, release: '2026f' });
  expect(await newerZones(newest, ['/nowhere', own, newest])).toBeUndefined();
});

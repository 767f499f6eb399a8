import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NEWEST_RELEASE, recogniseRules, ZONE_CHANGES, type ZoneRules } from '../zones/zoneRules.ts';
import { minutesAhead } from './tzif.ts';

/** Where systems keep their compiled time zones. */
const SYSTEM_FOLDERS = ['/usr/share/zoneinfo', '/usr/lib/zoneinfo', '/var/db/timezone/zoneinfo'];

/**
 * The system's folder of compiled time zones, where its rules are newer than those that PostgreSQL brings.
 *
 * @param own the folder that PostgreSQL brings.
 */
export async function newerZones(
  own: string,
  folders = SYSTEM_FOLDERS,
): Promise<{ folder: string; release: string } | undefined> {
  let newest: { folder: string; release: string } | undefined;
  let missing = (await rulesOf(own)).missing.length;
  for (const folder of folders) {
    const rules = await rulesOf(folder);
    if (rules.missing.length >= missing) continue;
    newest = { folder, release: rules.release };
    missing = rules.missing.length;
    if (rules.release === NEWEST_RELEASE) break;
  }
  return newest;
}

/** What a folder's rules are; where it is none, all that is known is missing. */
export async function rulesOf(folder: string): Promise<ZoneRules> {
  const nothing = { release: '', missing: ZONE_CHANGES };
  // Whole, or it is not for a server: some systems have the zones of one continent, or none.
  if (!(await knows(folder, 'UTC', 0, 0)) || !(await knows(folder, 'Asia/Kolkata', 0, 330))) return nothing;
  return recogniseRules(({ zone, at, aheadMinutes }) => knows(folder, zone, at, aheadMinutes));
}

async function knows(folder: string, zone: string, at: number, aheadMinutes: number): Promise<boolean> {
  try {
    return minutesAhead(await readFile(join(folder, zone)), at) === aheadMinutes;
  } catch {
    return false; // no such file, or not one of its kind
  }
}

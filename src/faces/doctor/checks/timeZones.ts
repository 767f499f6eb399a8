import { adviceFor, describeRules, readZoneRules } from '../../../ground/zones/zoneRules.ts';
import { ok, type Verdict, warn } from '../finding.ts';
import type { Patient } from '../patient.ts';

/** Whether the server's time zone rules are as new as those this version knows of: days end by them. */
export async function checkTimeZones({ db }: Patient): Promise<Verdict[]> {
  const rules = await readZoneRules(db);
  const found = describeRules(rules);
  return [rules.missing.length === 0 ? ok(found) : warn(found, adviceFor())];
}

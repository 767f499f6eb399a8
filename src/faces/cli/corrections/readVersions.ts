import type { Config } from '../../../ground/config/loadConfig.ts';
import { toUsageEvent } from '../../../intake/events/toUsageEvent.ts';
import { StartupError } from '../../../model/errors.ts';
import { eventRules } from '../../http/receiveEvents.ts';
import type { WantedCorrection } from './correctInBatches.ts';
import { nameOf, readValues } from './readValues.ts';

const MOST_FAULTS_TOLD = 20;

/**
 * Events as they are to be, from JSON or NDJSON: whole native events, checked as if they were posted now.
 *
 * @throws {StartupError} with every fault and its place: of an event, or of two with one id.
 */
export async function readVersions(
  file: string,
  tenantId: string,
  config: Config,
): Promise<WantedCorrection[]> {
  const rules = { ...eventRules({ config }, tenantId), checkText: true };
  const faults: string[] = [];
  const versions = new Map<string, WantedCorrection>();
  for (const [index, { place, value }] of (await readValues(file, 'json')).entries()) {
    const verdict = toUsageEvent(value, rules, index);
    if (verdict.faults) {
      faults.push(...verdict.faults.map(({ pointer, message }) => `${place}: ${pointer || 'it'} ${message}`));
    } else if (versions.has(verdict.event.eventId)) {
      faults.push(`${place}: /eventId is that of one before it`);
    } else {
      const { event: version } = verdict;
      const clientId = version.externalId ?? (value as { eventId: string }).eventId;
      versions.set(version.eventId, { clientId, tsMicros: null, version });
    }
  }
  if (faults.length > 0) {
    const more = faults.length - MOST_FAULTS_TOLD;
    const told = faults.slice(0, MOST_FAULTS_TOLD).join('\n  ');
    throw new StartupError(
      `${nameOf(file)}: nothing was changed\n  ${told}${more > 0 ? `\n  and ${more} more` : ''}`,
    );
  }
  if (versions.size === 0) throw new StartupError(`${nameOf(file)} has no event`);
  return [...versions.values()];
}

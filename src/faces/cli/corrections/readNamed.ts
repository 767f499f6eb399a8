import { StartupError, UsageError } from '../../../model/errors.ts';
import { parseTimestamp } from '../../../model/timestamp.ts';
import { eventId } from '../../http/correctionSchemas.ts';
import type { WantedCorrection } from './correctInBatches.ts';
import { type FileValue, type Format, nameOf, readValues } from './readValues.ts';

/**
 * Events by their ids: arguments, and what a file has, ids or objects with `eventId` and perhaps `timestamp`, as exports have
 * them. One that is named again just so counts once.
 *
 * @throws {UsageError} where none is named. @throws {StartupError} for what is no id, with its place.
 */
export async function readNamed(
  ids: readonly string[],
  file: string | undefined,
  format: Format | undefined,
): Promise<{ events: WantedCorrection[]; repeated: number }> {
  if (ids.length === 0 && file === undefined) throw new UsageError('name events, or a --file of them');
  const named = ids.map((id) => namedBy({ place: `argument ${id}`, value: id }, 'the command line'));
  if (file !== undefined) {
    for (const value of await readValues(file, format)) named.push(namedBy(value, nameOf(file)));
  }
  if (named.length === 0) throw new StartupError(`${nameOf(file!)} names no event`);
  const events = [...new Map(named.map((event) => [keyOf(event), event])).values()];
  return { events, repeated: named.length - events.length };
}

function keyOf({ clientId, tsMicros }: WantedCorrection): string {
  return `${tsMicros ?? ''} ${clientId}`;
}

function namedBy({ place, value }: FileValue, where: string): WantedCorrection {
  const fault = (message: string) => new StartupError(`${where}: ${place}: ${message}`);
  const named = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  const { data, error } = eventId.safeParse(named ? named.eventId : value);
  if (error) throw fault(`eventId: ${error.issues[0]!.message}`);
  const timestamp = named?.timestamp ?? undefined;
  if (timestamp === undefined) return { clientId: data, tsMicros: null };
  const tsMicros = parseTimestamp(typeof timestamp === 'string' ? timestamp : String(timestamp));
  if (!Number.isSafeInteger(tsMicros)) throw fault('timestamp: is no time');
  return { clientId: data, tsMicros };
}

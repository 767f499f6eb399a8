import { setTimeout as sleep } from 'node:timers/promises';
import { tenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { StartupError, TidemarkError } from '../../../model/errors.ts';
import { stringifyJson } from '../../../model/json.ts';
import { type DefinitionFault, pointerTo } from '../definition/definitionFault.ts';
import { checkAddedDimensions, type MeterDefinition, seriesOf } from '../definition/meterDefinition.ts';
import { archiveMeter } from './archiveMeter.ts';
import { createMeter } from './createMeter.ts';
import { findMeter, type Meter } from './meter.ts';
import { checkNewMeter, type NewMeter } from './newMeter.ts';
import { type MeterChanges, updateMeter } from './updateMeter.ts';

/** A meter that is to be there, or to be archived. */
interface WantedMeter extends NewMeter {
  tenantId: string;
  archived: boolean;
  /** Whether it says so itself: what it leaves out is nobody's to change. */
  named: boolean;
  described: boolean;
}

/** What was done. */
export interface Reconciled {
  created: number;
  changed: number;
  archived: number;
}

/** How often a change is tried again while batches leave no room for it, and after how many ms. */
const TRIES = 10;
const RETRY_MS = 500;

/**
 * Makes meters as a document `{meters: [{tenant, slug, …, archived?}]}` has them: makes those
 * that are missing, changes names and descriptions that it gives and adds dimensions, and archives those that it says
 * are. What it does not name stays as it is. All of it is checked before anything is done.
 *
 * @param document parsed by `parseJson`.
 * @param most live meters that a tenant may have.
 * @throws {StartupError} with the place in it (RFC 6901), where it is wrong or contradicts what a meter is made of.
 */
export async function reconcileMeters(db: Queryable, document: unknown, most: number): Promise<Reconciled> {
  const wanted = wantedMeters(document);
  const archiving: (() => Promise<void>)[] = [];
  const steps: (() => Promise<void>)[] = [];
  const places = new Map<string, { live: number; made: string[] }>();
  const done: Reconciled = { created: 0, changed: 0, archived: 0 };
  for (const [i, meter] of wanted.entries()) {
    const place = pointerTo('meters', i);
    await requireTenant(db, meter.tenantId, place);
    const there = await liveMeter(db, meter);
    const context = tenantContext(meter.tenantId);
    const ofTenant = places.get(meter.tenantId) ?? { live: await liveMeters(db, meter.tenantId), made: [] };
    places.set(meter.tenantId, ofTenant);
    if (there === undefined) {
      if (meter.archived) continue;
      ofTenant.made.push(place);
      steps.push(async () => {
        await createMeter(db, context, meter, most).catch((error) => {
          // An instance that started with us was quicker.
          if (!(error instanceof TidemarkError && error.code === 'meter_exists')) throw error;
        });
        done.created++;
      });
      continue;
    }
    if (meter.archived) {
      await requireUncompared(db, there, place);
      ofTenant.live--;
      archiving.push(async () => {
        await archiveMeter(db, context, there.id).catch((error) => {
          if (!(error instanceof TidemarkError && error.code === 'not_found')) throw error;
        });
        done.archived++;
      });
      continue;
    }
    const changes = changesOf(there, meter, place);
    if (changes !== null) {
      steps.push(async () => {
        await updateMeter(db, context, there.id, changes);
        done.changed++;
      });
    }
  }
  for (const { live, made } of places.values()) {
    const beyond = made[Math.max(0, most - live)];
    if (beyond !== undefined) throw fault(beyond, `a tenant may have ${most} meters that are not archived`);
  }
  for (const step of [...archiving, ...steps]) await patiently(step); // archived ones make room
  return done;
}

async function patiently(step: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await step();
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      if (error.code !== 'overloaded' || tries === TRIES)
        throw new StartupError(error.message, { cause: error });
    }
    await sleep(RETRY_MS);
  }
}

function wantedMeters(document: unknown): WantedMeter[] {
  const { $schema: _, meters, ...others } = objectAt(document, '');
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw fault(pointerTo(unknown), 'there is no such field');
  if (!Array.isArray(meters)) throw fault('/meters', 'must be an array');
  const seen = new Set<string>();
  return meters.map((input: unknown, i) => {
    const place = pointerTo('meters', i);
    const { tenant, archived = false, name, description } = objectAt(input, place);
    if (typeof tenant !== 'string' || tenant === '')
      throw fault(`${place}/tenant`, 'must be the id of a tenant');
    if (typeof archived !== 'boolean') throw fault(`${place}/archived`, 'must be true or false');
    const { meter, faults } = checkNewMeter(input, ['tenant', 'archived']);
    if (faults) throw faultOf(faults, place);
    const key = JSON.stringify([tenant, meter.slug]);
    if (seen.has(key)) throw fault(`${place}/slug`, `"${meter.slug}" is there twice`);
    seen.add(key);
    return {
      ...meter,
      tenantId: tenant,
      archived,
      named: name != null,
      described: description !== undefined,
    };
  });
}

async function requireTenant(db: Queryable, tenantId: string, place: string): Promise<void> {
  const { rows } = await db.query('select from tenant where id = $1', [tenantId]);
  if (rows.length === 0) throw fault(`${place}/tenant`, `there is no tenant "${tenantId}"`);
}

async function liveMeters(db: Queryable, tenantId: string): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    'select count(*)::int from meter where tenant_id = $1 and archived_at is null',
    [tenantId],
  );
  return rows[0]!.count;
}

async function requireUncompared(db: Queryable, { tenantId, id, slug }: Meter, place: string): Promise<void> {
  const { rows } = await db.query('select from alert_rule where tenant_id = $1 and meter_id = $2 limit 1', [
    tenantId,
    id,
  ]);
  if (rows.length > 0) {
    throw fault(`${place}/archived`, `alert rules compare the meter ${slug}: delete them first`);
  }
}

async function liveMeter(db: Queryable, { tenantId, slug }: WantedMeter): Promise<Meter | undefined> {
  try {
    return await findMeter(db, tenantId, slug);
  } catch (error) {
    if (error instanceof TidemarkError && error.code === 'not_found') return undefined;
    throw error;
  }
}

/** @returns null where it is as it is to be. */
function changesOf(there: Meter, wanted: WantedMeter, place: string): MeterChanges | null {
  const made = partsOf(there.definition);
  for (const [member, part] of Object.entries(partsOf(wanted.definition))) {
    if (part === made[member as keyof typeof made]) continue;
    throw fault(
      `${place}/${member}`,
      `the meter "${there.slug}" of "${there.tenantId}" is there with another one, and what makes its numbers is for good: ` +
        'choose another slug, or archive it first',
    );
  }
  const { faults, dimensions } = checkAddedDimensions(there.definition, wanted.definition.dimensions);
  if (faults) throw faultOf(faults, place);
  const changes: MeterChanges = {
    ...(wanted.named && wanted.name !== there.name && { name: wanted.name }),
    ...(wanted.described && wanted.description !== there.description && { description: wanted.description }),
    ...(Object.keys(dimensions).length > Object.keys(there.definition.dimensions).length && { dimensions }),
  };
  return Object.keys(changes).length === 0 ? null : changes;
}

/** What cannot be changed, each in one form. */
function partsOf(definition: MeterDefinition) {
  const { eventType, eventFromMicros, filter, value } = seriesOf(definition);
  return {
    eventType,
    eventFrom: eventFromMicros,
    aggregation: definition.aggregation,
    value,
    filter: stringifyJson(filter),
  };
}

function objectAt(input: unknown, place: string): Record<string, unknown> {
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) {
    return input as Record<string, unknown>;
  }
  throw fault(place, 'must be an object');
}

function faultOf([first, ...more]: DefinitionFault[], place: string): StartupError {
  const others = more.length === 0 ? '' : ` (and ${more.length} more)`;
  return fault(place + first!.pointer, `${first!.message}${others}`);
}

function fault(pointer: string, what: string): StartupError {
  return new StartupError(`${pointer === '' ? 'the document' : pointer}: ${what}`);
}

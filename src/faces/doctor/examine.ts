import type pg from 'pg';
import type { Config } from '../../ground/config/loadConfig.ts';
import { connect, connectionSettings } from '../../ground/db/connections.ts';
import { placeOf, reasonOf } from '../../ground/db/prepareDatabase.ts';
import { remedyFor } from '../../ground/db/sqlstate.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { checkActivity } from './checks/activity.ts';
import { checkClock } from './checks/clock.ts';
import { checkClosing } from './checks/closing.ts';
import { checkColumns } from './checks/columns.ts';
import { checkConnections } from './checks/connections.ts';
import { checkDeadLetters } from './checks/deadLetters.ts';
import { checkDurability } from './checks/durability.ts';
import { checkEngine, UPDATE_EXTENSION } from './checks/engine.ts';
import { checkFunctions } from './checks/functions.ts';
import { checkLateWindows } from './checks/lateWindows.ts';
import { checkLocks } from './checks/locks.ts';
import { checkOutbox } from './checks/outbox.ts';
import { checkPolicies } from './checks/policies.ts';
import { checkRoles } from './checks/roles.ts';
import { checkSchema } from './checks/schema.ts';
import { checkTimeZones } from './checks/timeZones.ts';
import { checkVersion } from './checks/version.ts';
import { examineRedis } from './examineRedis.ts';
import { type Finding, fail, ok } from './finding.ts';
import type { Check, Patient } from './patient.ts';
import { within } from './within.ts';

const LEAVE_MS = 500;
/** Said to every statement where the server's TimescaleDB is newer, and came without the library of before. */
const LIBRARY_GONE = /^could not access file ".*timescaledb-[\d.]+"/;

/** Of the server, whatever is in the database. */
const OF_SERVER: [string, Check][] = [
  ['database', checkVersion],
  ['durability', checkDurability],
  ['connections', checkConnections],
  ['clock', checkClock],
  ['time zones', checkTimeZones],
  ['schema', checkSchema],
  ['engine', checkEngine], // it may be why the schema is older
];

/** Of what this version's schema holds. */
const OF_SCHEMA: [string, Check][] = [
  ['functions', checkFunctions],
  ['roles', checkRoles],
  ['policies', checkPolicies],
  ['columns', checkColumns],
  ['locks', checkLocks],
  ['closing', checkClosing],
  ['late windows', checkLateWindows],
  ['activity', checkActivity],
  ['outbox', checkOutbox],
  ['dead letters', checkDeadLetters],
];

/**
 * Looks at everything the service depends on. Changes nothing. Nothing that is down, or silent, keeps it longer than a
 * few times the timeout.
 *
 * @param url of the database; undefined: there is none that could be looked at.
 * @param timeoutMs for each thing that is asked.
 */
export async function examine(
  config: Config,
  url: string | undefined,
  timeoutMs: number,
  log: Logger,
): Promise<Finding[]> {
  const [database, redis] = await Promise.all([
    examineDatabase(config, url, timeoutMs, log),
    examineRedis(config, timeoutMs),
  ]);
  return [configuration(config), ...database, ...redis];
}

function configuration({ profile, database, dataDir }: Config): Finding {
  const where = database.url === undefined ? `the local database in ${dataDir}` : placeOf(database.url);
  return { check: 'configuration', ...ok(`every variable is valid; profile ${profile}, database ${where}`) };
}

async function examineDatabase(
  config: Config,
  url: string | undefined,
  timeoutMs: number,
  log: Logger,
): Promise<Finding[]> {
  if (url === undefined) {
    return [
      {
        check: 'database',
        ...fail(
          `DATABASE_URL is not set, and the local database in ${config.dataDir} does not run`,
          'set DATABASE_URL, or start the service',
        ),
      },
    ];
  }
  const settings = {
    ...connectionSettings(url, config.database, 'doctor'),
    connectTimeoutMs: timeoutMs,
    statementTimeoutMs: timeoutMs,
  };
  let db: pg.Client;
  try {
    db = await within(timeoutMs, connect(settings, log));
  } catch (error) {
    const reason = reasonOf(error);
    const advice = LIBRARY_GONE.test(reason)
      ? UPDATE_EXTENSION
      : 'see that the server runs, and that DATABASE_URL leads to it with the right user and password';
    return [{ check: 'database', ...fail(`${placeOf(url)}: ${reason}`, advice) }];
  }
  try {
    const patient = { db, config };
    const findings = await runChecks(OF_SERVER, patient, timeoutMs);
    if (findings.some(({ check, status }) => check === 'schema' && status === 'fail')) return findings;
    return [...findings, ...(await runChecks(OF_SCHEMA, patient, timeoutMs))];
  } finally {
    await within(LEAVE_MS, db.end()).catch(() => db.connection.stream.destroy()); // a silent server does not take leave
  }
}

/** One after the other. Behind one that was not answered, no other is asked. */
async function runChecks(checks: [string, Check][], patient: Patient, timeoutMs: number): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [check, look] of checks) {
    try {
      const verdicts = await within(2 * timeoutMs, look(patient));
      findings.push(...verdicts.map((verdict) => ({ check, ...verdict })));
    } catch (error) {
      const advice = 'see the log of the server, and run this again';
      findings.push({ check, ...fail(`could not be looked at: ${reasonOf(error)}`, advice) });
      if (remedyFor(error) === 'reconnect') break;
    }
  }
  return findings;
}

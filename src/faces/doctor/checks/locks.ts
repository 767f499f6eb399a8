import { judge, ok, type Verdict } from '../finding.ts';
import { engineOf, type Patient } from '../patient.ts';

/** A packed chunk is two relations more: its columns, and their index. */
const LOCKS_OF_COLUMNS = 2;

interface Row {
  per_session: number;
  sessions: number;
  chunks: number;
  packed: number;
  indexes: number;
}

/**
 * Whether the server's table of locks has room for reads of the whole history: each locks every chunk of its range with
 * its indexes. It holds max_locks_per_transaction × (max_connections + max_prepared_transactions) of them, whoever takes
 * them (PostgreSQL documentation, "Lock Management").
 */
export async function checkLocks(patient: Patient): Promise<Verdict[]> {
  if ((await engineOf(patient)) === 'postgres') return [ok('tables without chunks: a read takes a handful')];
  const { db, config } = patient;
  const { rows } = await db.query<Row>(
    `select current_setting('max_locks_per_transaction')::int as per_session,
            current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int as sessions,
            (select count(*)::int from pg_index where indrelid = 'event'::regclass) as indexes,
            count(*)::int as chunks, count(*) filter (where state <> 0)::int as packed
     from retention_chunk where relation = 'event'`,
  );
  const { per_session, sessions, chunks, packed, indexes } = rows[0]!;
  const room = per_session * sessions;
  const locks = chunks * (1 + indexes) + packed * LOCKS_OF_COLUMNS;
  const readers = config.database.readPoolSize;
  const enough = 2 ** Math.ceil(Math.log2((locks * readers) / sessions));
  return [
    judge(
      locks * readers,
      { warnFrom: room, failFrom: room * readers },
      `a read of all ${chunks} chunks of events takes ${locks} locks; there are ${room}, and up to ${readers} such reads per instance`,
      `set max_locks_per_transaction = ${enough}, and restart the server`,
    ),
  ];
}

import type { Engine } from './engine.ts';
import type { Queryable } from './queryable.ts';

/** Whether a batch can be written into the columnstore of `event` at once, as this server and this schema are. */
export type ColumnstoreWrites =
  | { able: true }
  /** `expected`: the schema is of the postgres engine, which has none. `why` is for an operator. */
  | { able: false; expected: boolean; why: string };

/** What TimescaleDB says, as a WARNING, when it writes rows where it was told to write columns. */
const FALLS_BACK = /^disabling direct compress/;

/** Whether a notice of the server says that it has written rows where it was told to write columns. */
export function fallsBack({ message }: { message?: string | undefined }): boolean {
  return message !== undefined && FALLS_BACK.test(message);
}

/*
 * Everything that makes TimescaleDB write rows instead, with or without a WARNING (`choose_copy_method` in its copy.c),
 * and an order other than the one that the writers give their segments, in which reads would go wrong.
 */
const OBSTACLE = `
  select case
    when current_setting('timescaledb.license', true) is distinct from 'timescale' then
      format('timescaledb.license is %s', coalesce(current_setting('timescaledb.license', true), 'not set'))
    when current_setting('timescaledb.enable_direct_compress_copy', true) is null
      or current_setting('timescaledb.enable_direct_compress_copy_sort_batches', true) is null
      or current_setting('timescaledb.compression_batch_size_limit', true) is null then
      'this TimescaleDB has no direct compress'
    when current_setting('timescaledb.enable_optimizations', true) = 'off' then
      'timescaledb.enable_optimizations is off'
    when coalesce(settings.segmentby, settings.orderby) is null then 'the table event has no columnstore'
    when settings.segmentby is distinct from 'tenant_id' or settings.orderby is distinct from 'ts' then
      format('the columnstore of event is segmented by %s and ordered by %s, not by tenant_id and ts',
             coalesce(settings.segmentby, 'nothing'), coalesce(settings.orderby, 'nothing'))
    when trigger.name is not null then format('the table event has the trigger %s', trigger.name)
    when uniqueness.name is not null then format('the table event has the unique index %s', uniqueness.name)
  end as why
  from (select 'event'::regclass as event) as here
  left join timescaledb_information.hypertable_compression_settings settings on settings.hypertable = here.event
  left join lateral (select quote_ident(tgname) as name from pg_trigger
                     where tgrelid = here.event order by tgname limit 1) as trigger on true
  left join lateral (select indexrelid::regclass as name from pg_index
                     where indrelid = here.event and (indisunique or indisexclusion) limit 1) as uniqueness on true`;

/** A chunk of events: its name for a statement, and the time (µs since the epoch) that it holds, the end excluded. */
export interface EventChunk {
  relation: string;
  fromMicros: number;
  toMicros: number;
}

const CHUNKS = `
  select format('%I.%I', chunk_schema, chunk_name) as relation,
         (extract(epoch from range_start) * 1000000)::bigint as from_micros,
         (extract(epoch from range_end) * 1000000)::bigint as to_micros
  from timescaledb_information.chunks
  where hypertable_schema = current_schema() and hypertable_name = 'event'
  order by range_start desc`;

/**
 * The chunks of events, the latest first. Whoever writes columns locks theirs before: where columns come while rows of
 * another transaction are making the chunk, TimescaleDB 2.28.3 and 2.29.2 forget to note that it has rows as well, and no
 * read finds those until the next ones come.
 */
export async function eventChunks(db: Queryable): Promise<EventChunk[]> {
  const { rows } = await db.query<{ relation: string; from_micros: string; to_micros: string }>(CHUNKS);
  return rows.map(({ relation, from_micros, to_micros }) => ({
    relation,
    fromMicros: Number(from_micros),
    toMicros: Number(to_micros),
  }));
}

/** Asks the database. It loads TimescaleDB into the session, whose settings mean nothing before. */
export async function columnstoreWrites(db: Queryable): Promise<ColumnstoreWrites> {
  const { rows: installation } = await db.query<{ engine: Engine }>('select engine from installation');
  if (installation[0]!.engine === 'postgres') {
    return { able: false, expected: true, why: 'the postgres engine has no columnstore' };
  }
  const { rows } = await db.query<{ why: string | null }>(OBSTACLE);
  const { why } = rows[0]!;
  return why === null ? { able: true } : { able: false, expected: false, why };
}

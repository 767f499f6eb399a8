import type pg from 'pg';
import type { Rollup } from './refreshRollup.ts';

/** What a rollup is made of. */
const SOURCES: Record<Rollup, string> = {
  usage_30s: 'event',
  usage_1h: 'usage_30s',
  usage_1d: 'usage_1h',
  reference_1d: 'event',
};

/*
 * Measured on two cores with TimescaleDB 2.28.3 and 2.29.2 (docs/performance.md): a row of a rollup costs 35–60 µs to
 * be made anew and has 250 bytes, an event costs 1 µs to be read and has 110, a row of usage_30s 4 µs and 250.
 */
const MADE_US_PER_BYTE = 0.18;
const READ_US_PER_BYTE = 0.015;

/** No chunk is longer than that. */
const LONGEST_CHUNK = '31 days';

interface Stretch {
  from: number;
  to: number;
  /** µs of work per ms of time. */
  work: number;
}

/** What the refresh of a range costs, as far as the sizes of chunks tell: so much for each part of a chunk. */
export class RefreshDensity {
  private readonly stretches: Stretch[];

  constructor(stretches: Stretch[]) {
    this.stretches = stretches;
  }

  /** Estimated work, in µs, of refreshing [from, to), in ms since the epoch, besides that of a call. */
  work(from: number, to: number): number {
    let sum = 0;
    for (const stretch of this.stretches) {
      const shared = Math.min(to, stretch.to) - Math.max(from, stretch.from);
      if (shared > 0) sum += shared * stretch.work;
    }
    return sum;
  }
}

/**
 * Asks the catalog, which costs the same however much is stored and however many chunks there are elsewhere.
 *
 * @param from in ms since the epoch; likewise `to`.
 */
export async function refreshDensity(
  client: pg.Client,
  rollup: Rollup,
  from: number,
  to: number,
): Promise<RefreshDensity> {
  const { rows } = await client.query<{ made: boolean; from: number; to: number; bytes: string }>(
    `select r.made, (d.range ->> 0)::float8 / 1000 as from,
            least((d.range ->> 1)::float8, extract(epoch from s.refreshed_30s) * 1000000)::float8 / 1000 as to,
            pg_relation_size(c.chunk) + coalesce(z.uncompressed_heap_size, 0) as bytes
     from window_state s
       cross join unnest($1::text[], $2::boolean[]) as r (relation, made)
       cross join show_chunks(r.relation::regclass, newer_than => $3::timestamptz - interval '${LONGEST_CHUNK}',
                              older_than => $4::timestamptz + interval '${LONGEST_CHUNK}') as c (chunk)
       cross join _timescaledb_functions.show_chunk(c.chunk) as i
       cross join jsonb_each(i.slices) as d (key, range)
       left join _timescaledb_catalog.compression_chunk_size z on z.chunk_id = i.chunk_id`,
    [[rollup, SOURCES[rollup]], [true, false], new Date(from), new Date(to)],
  );
  return new RefreshDensity(
    rows
      .filter((row) => row.to > row.from)
      .map(({ made, bytes, ...range }) => ({
        ...range,
        work: (Number(bytes) * (made ? MADE_US_PER_BYTE : READ_US_PER_BYTE)) / (range.to - range.from),
      })),
  );
}

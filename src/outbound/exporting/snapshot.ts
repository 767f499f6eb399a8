import type pg from 'pg';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { ChunksMoved, repeatMoved } from '../../ground/db/chunksMoved.ts';

/** Rows that are asked for at a time. While they are made into lines, the next ones are on their way. */
const FETCH_ROWS = 1_000;

/**
 * Begins a transaction in which one tenant is seen, through the views and as the role that sees nothing else, as it is
 * at this moment. It ends with its connection, or with `endSnapshot`. It keeps nobody from writing; but what is deleted
 * meanwhile stays on disk, and chunks that are to be dropped wait for it.
 */
export async function beginSnapshot(client: pg.Client, { tenantId }: TenantContext): Promise<void> {
  await client.query('begin transaction isolation level repeatable read, read only');
  // Before the snapshot: packing a chunk truncates it, and whoever looks from an older snapshot finds it empty. What
  // comes to be a chunk in between may be packed all the same, which `readAll` finds out.
  await client.query('lock table event, usage_30s, usage_1h, usage_1d in access share mode');
  await client.query(
    `select set_config('tidemark.tenant_id', $1, true), set_config('role', 'tidemark_read', true),
            set_config('client_connection_check_interval', '1s', true),
            set_config('cursor_tuple_fraction', '1', true), -- everything is read, so the whole is to be cheap
            set_config('jit', 'off', true)`,
    [tenantId],
  );
}

export async function endSnapshot(client: pg.Client): Promise<void> {
  await client.query('commit');
}

/**
 * The rows of a statement in a snapshot, by a cursor of the server: neither end holds more than two portions. Where
 * chunks were rearranged between the snapshot and the plan, another snapshot is begun: nothing has been handed out yet.
 *
 * @param prepare reads in the snapshot what the statement depends on.
 */
export async function* readAll<Row>(
  client: pg.Client,
  context: TenantContext,
  prepare: () => Promise<{ text: string; values: unknown[] }>,
): AsyncGenerator<Row[]> {
  await repeatMoved(async () => {
    const { text, values } = await prepare();
    await client.query(`declare export_rows no scroll cursor for ${text}`, values);
    const { rows } = await client.query<{ moved: boolean }>('select tenant_data.chunks_moved() as moved');
    if (!rows[0]!.moved) return;
    await client.query('rollback');
    await beginSnapshot(client, context);
    throw new ChunksMoved();
  });
  const fetch = () => {
    const portion = client.query(`fetch ${FETCH_ROWS} from export_rows`);
    portion.catch(() => undefined); // met by whoever waits for it, if anybody still does
    return portion;
  };
  let next = fetch();
  for (;;) {
    const { rows } = await next;
    if (rows.length === 0) return;
    next = fetch();
    yield rows as Row[];
  }
}

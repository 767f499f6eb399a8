import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { CopyTransaction } from '../../src/intake/ingest/copyTransaction.ts';
import type { CopyBatch } from '../load/copyBatches.ts';
import type { SendBatch } from '../load/copyWriters.ts';

/** What the writer does before it copies: takes its role and the lock, and reads how far windows are closed. */
const AS_INGEST = `select set_config('role', 'tidemark_ingest', true)`;
const ENTER = `select closed_until, xid from enter_batch('infinity', 0)`;
const ENTER_UNTOLD = `select closed_until, xid from enter_batch_untold('infinity')`;

/** `enter_batch` as before there was anything to tell: without the version of who listens. */
export const MAKE_UNTOLD = `
  set role tidemark_owner;
  create function enter_batch_untold(open_from timestamptz, out closed_until timestamptz, out xid xid8)
  language plpgsql security definer set search_path = public, pg_temp as $$
  begin
    perform set_config('idle_in_transaction_session_timeout', '30s', true),
            set_config('client_connection_check_interval', '1s', true);
    if current_setting('synchronous_commit') in ('off', 'local') then
      perform set_config('synchronous_commit', 'on', true);
    end if;
    perform pg_advisory_xact_lock_shared(hashtext('tidemark.windows'));
    select s.closed_until into closed_until from window_state s;
    if closed_until > open_from then
      raise exception 'a window of this batch closed at %', closed_until using errcode = 'TM001';
    end if;
    xid := pg_current_xact_id();
  end $$`;

/** The writer's transaction in one round trip, as the service sends it. */
export const sendEntered: SendBatch = (client, batch) => sendWith([AS_INGEST, ENTER], client, batch);

/** The same without asking whether who listens is known. */
export const sendUntold: SendBatch = (client, batch) => sendWith([AS_INGEST, ENTER_UNTOLD], client, batch);

/** The same with the rights of whoever logged in. */
export const sendAsLogin: SendBatch = (client, batch) => sendWith([ENTER], client, batch);

async function sendWith(first: string[], ...[client, batch]: Parameters<SendBatch>): Promise<void> {
  const transaction = new CopyTransaction([...first, ...batch.statements].join(';\n'), batch.data);
  client.query(transaction);
  await transaction.done;
}

/** The same with pg-copy-streams, step by step: each waits for the server's answer to the one before. */
export const sendStepwise: SendBatch = async (client, batch) => {
  await client.query('begin');
  await client.query(AS_INGEST);
  await client.query(ENTER);
  const copies = payloadsOf(batch);
  for (const [i, statement] of batch.statements.entries()) {
    await copyStream(client, statement, copies[i]!);
  }
  await client.query('commit');
};

function copyStream(client: pg.Client, statement: string, payloads: Buffer[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = client.query(copyFrom(statement));
    stream.once('finish', resolve).once('error', reject);
    for (const payload of payloads) stream.write(payload);
    stream.end();
  });
}

const COPY_DONE = 0x63;

/** The contents of the CopyData messages of each COPY of a batch: pg-copy-streams frames them itself. */
function payloadsOf({ data }: CopyBatch): Buffer[][] {
  const copies: Buffer[][] = [];
  let current: Buffer[] = [];
  for (let at = 0; at < data.length; ) {
    const end = at + 1 + data.readInt32BE(at + 1);
    if (data[at] === COPY_DONE) {
      copies.push(current);
      current = [];
    } else {
      current.push(data.subarray(at + 5, end));
    }
    at = end;
  }
  return copies;
}

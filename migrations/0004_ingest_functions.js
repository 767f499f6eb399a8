import { chooseEngine } from './support/engine.js';

/** What the writer calls in the transaction of a batch. */
export const up = async (pgm) => {
  const engine = await chooseEngine(pgm.db);

  pgm.sql(`
    /*
     * Joins the batch to the open windows. The shared lock makes the closer wait for this transaction; each
     * statement of a volatile function sees a snapshot of its own, so closed_until is read after the lock is held.
     * The writer takes every window that starts at or after open_from for open: if one of them has closed since,
     * the batch is refused with TM001 before a row of it is stored, and the writer asks again.
     */
    create function enter_batch(open_from timestamptz, out closed_until timestamptz, out xid xid8)
    language plpgsql as $$
    begin
      perform pg_advisory_xact_lock_shared(hashtext('tidemark.windows'));
      select s.closed_until into closed_until from window_state s;
      if closed_until > open_from then
        raise exception 'a window of this batch closed at %', closed_until using errcode = 'TM001';
      end if;
      xid := pg_current_xact_id();
    end $$;

    /* Records closed windows that this transaction changed: one revision each. */
    create function mark_late_windows(windows jsonb) returns void language sql as $$
      insert into late_window as l (bucket, tenant_id, customer_id, revision, stale, stale_references)
      select w.bucket, w.tenant_id, w.customer_id, 1, ${engine === 'timescale'},
             ${engine === 'timescale' ? 'w."references"' : 'false'}
      from jsonb_to_recordset(windows)
        as w (bucket timestamptz, tenant_id text, customer_id text, "references" boolean)
      order by w.tenant_id, w.customer_id, w.bucket
      on conflict (tenant_id, customer_id, bucket) do update set
        revision = l.revision + 1,
        stale = excluded.stale,
        stale_references = l.stale_references or excluded.stale_references,
        changed_by = excluded.changed_by,
        updated_at = now()
    $$;

    /* Registers customers that the writer has not seen before. */
    create function register_customers(customers jsonb) returns void language sql as $$
      insert into customer (tenant_id, external_id)
      select c.tenant_id, c.external_id
      from jsonb_to_recordset(customers) as c (tenant_id text, external_id text)
      order by 1, 2
      on conflict do nothing
    $$;
  `);
};

export const down = false;

-- revision 1, 444f38abac3a
/*
 * Whether a backfill of that time and those customers (null: all) would meet another staged one of its tenant, and how many that
 * has. Whoever makes another one waits for the end of this transaction: a row of the tenant is locked, as no batch locks it, and
 * only then looked for.
 */
create or replace function overlapping_backfill(
  whose text, begins timestamptz, ends timestamptz, of_customers text[], out overlapping uuid, out staged bigint
)
language plpgsql as $$
begin
  perform from tenant where id = whose for no key update;
  select b.id into overlapping from backfill b
  where b.tenant_id = whose and b.state = 'staged' and b.from_at < ends and b.to_at > begins
    and (b.customers is null or of_customers is null or b.customers && of_customers)
  order by b.created_at, b.id limit 1;
  select count(*) into staged from backfill b where b.tenant_id = whose and b.state = 'staged';
end $$;

revoke execute on function overlapping_backfill(text, timestamptz, timestamptz, text[]) from public;

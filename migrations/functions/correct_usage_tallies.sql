-- revision 1, 120c121e1be7
/*
 * Adds what a correction has changed to the sums that rules compare: [{rule, customer, start, delta}]. One that has been told
 * of is compared no more. One that nobody has begun begins here if no batch would find its past; else it is read when it begins.
 *
 * That is known only with the key of each locked: a batch under way that begins one has read what was before the correction,
 * and one that begins it later finds its key free again, and reads what is then.
 */
create or replace function correct_usage_tallies(sums jsonb) returns void
language plpgsql as $$
declare
  me uuid := gen_random_uuid();
begin
  insert into usage_tally as t (rule_id, customer_id, period_start, epoch, begun_by, total)
  select u.rule, u.customer, u.start, r.epoch, me, u.delta
  from jsonb_to_recordset(sums) as u (rule uuid, customer text, start timestamptz, delta numeric)
  join alert_rule r on r.id = u.rule
  order by u.rule, u.customer collate "C", u.start
  on conflict (rule_id, customer_id, period_start) do update set
    total = t.total + case when t.epoch = excluded.epoch then excluded.total else 0 end;

  delete from usage_tally t
  using jsonb_to_recordset(sums) as u (rule uuid, customer text, start timestamptz, delta numeric)
  join alert_rule r on r.id = u.rule
  where t.rule_id = u.rule and t.customer_id = u.customer and t.period_start = u.start and t.begun_by = me
    and not (u.start > r.counted_from and u.delta > 0);
end $$;

revoke execute on function correct_usage_tallies(jsonb) from public;

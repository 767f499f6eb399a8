-- revision 1, f2babd6506d6
/*
 * Adds what a correction has changed to the sums that rules compare: [{rule, customer, start, delta}]. One that has been told
 * of is compared no more. One that nobody has begun begins here if no batch would find its past; else it is read when it begins.
 */
create or replace function correct_usage_tallies(sums jsonb) returns void
language sql as $$
  insert into usage_tally as t (rule_id, customer_id, period_start, epoch, begun_by, total)
  select u.rule, u.customer, u.start, r.epoch, gen_random_uuid(), u.delta
  from jsonb_to_recordset(sums) as u (rule uuid, customer text, start timestamptz, delta numeric)
  join alert_rule r on r.id = u.rule
  where exists (
      select from usage_tally told
      where told.rule_id = u.rule and told.customer_id = u.customer and told.period_start = u.start)
    or u.start > r.counted_from and u.delta > 0
  order by u.rule, u.customer collate "C", u.start
  on conflict (rule_id, customer_id, period_start) do update set total = t.total + excluded.total
  where t.epoch = excluded.epoch
$$;

revoke execute on function correct_usage_tallies(jsonb) from public;

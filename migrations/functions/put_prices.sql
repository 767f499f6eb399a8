-- revision 2, e84ead0132c1
/*
 * Adds prices to a tenant's list, as its next version: wanted is a JSON array of rows of price, each with an id of its own.
 * What one supersedes is in no version from this one on. expected: the version that the caller went by; null: whichever. With the
 * first prices comes the series of all AI usage (usage, its digest usage_key: see create_series).
 *
 * Returns {"version", "changedAt"}; or {"faults": [{"id", "code", "other"}]}, and then nothing has been done: price_unknown and
 * price_superseded are of what is to be superseded, price_overlaps of what is in force as long as another one of the same
 * model, match, provider and currency; list_changed and too_many are of the list.
 *
 * One at a time for each tenant. Batches that enter after this transaction know of it (begin_batch), and what alert rules have
 * summed up of costs in these currencies begins anew with the next event, by the prices of then (write_messages): what is told
 * stays told. Raises 55P03 when a batch takes too long.
 */
create or replace function put_prices(
  tenant text, wanted jsonb, actor jsonb, usage jsonb, usage_key bytea, most integer, expected bigint default null
) returns jsonb
language plpgsql set lock_timeout = '500ms' set plan_cache_mode = force_custom_plan as $$
declare
  list price_list;
  gone uuid[];
  faults jsonb;
begin
  perform pg_advisory_xact_lock(hashtext('tidemark.prices.' || tenant));
  select * into list from price_list where tenant_id = tenant;
  if expected <> coalesce(list.version, 0) then
    return jsonb_build_object('faults', jsonb_build_array(jsonb_build_object('code', 'list_changed')));
  end if;
  gone := array(select distinct supersedes from jsonb_populate_recordset(null::price, wanted) where supersedes is not null);
  select jsonb_agg(jsonb_build_object('id', f.id, 'code', f.code, 'other', f.other)) into faults
  from (
    select w.id, case when p.id is null then 'price_unknown' else 'price_superseded' end as code, null::uuid as other
    from jsonb_populate_recordset(null::price, wanted) w left join price p on p.tenant_id = tenant and p.id = w.supersedes
    where w.supersedes is not null and (p.id is null or p.superseded_in is not null)
    union all
    select w.id, 'price_overlaps', p.id
    from jsonb_populate_recordset(null::price, wanted) w
    join price p on p.tenant_id = tenant and p.superseded_in is null and p.id <> all (gone)
      and p.model = w.model and p.match = w.match and p.currency = w.currency and p.provider is not distinct from w.provider
      and p.effective_from < w.effective_to and w.effective_from < p.effective_to
  ) as f;
  if faults is null and jsonb_array_length(wanted) - cardinality(gone)
    + (select count(*) from price where tenant_id = tenant and superseded_in is null) > most
  then faults := jsonb_build_array(jsonb_build_object('code', 'too_many')); end if;
  if faults is not null then return jsonb_build_object('faults', faults); end if;

  perform create_series(tenant, usage, usage_key);
  perform wait_for_batches();
  insert into price_list as l (tenant_id, version, changed_at) values (tenant, 1, now())
    on conflict (tenant_id) do update set version = l.version + 1, changed_at = now()
    returning * into list;
  update price set superseded_in = list.version, superseded_at = now() where tenant_id = tenant and id = any (gone);
  insert into price (
    id, tenant_id, model, match, provider, currency, effective_from, effective_to,
    input, output, cached_input, reasoning, cache_write, audio_input, audio_output, call, supersedes, version
  )
  select id, tenant, model, match, provider, currency, effective_from, effective_to,
    input, output, cached_input, reasoning, cache_write, audio_input, audio_output, call, supersedes, list.version
  from jsonb_populate_recordset(null::price, wanted);
  update alert_rule set epoch = epoch + 1, counted_from = (select latest_time())
    where tenant_id = tenant and measure = 'cost' and active and currency in (
      select p.currency from price p where p.tenant_id = tenant and (p.version = list.version or p.id = any (gone)));
  update window_state set interest_version = interest_version + 1;

  insert into audit_log
    (actor_kind, actor_key_id, actor_tenant_id, request_id, client_address, action, tenant_id, target, changes)
  select who.kind, who."keyId", who."tenantId", who."requestId", who."clientAddress",
    case when old.id is null then 'price.created'
         when to_jsonb(old) - told - 'effective_to' = to_jsonb(made) - told - 'effective_to'
           and not isfinite(old.effective_to) then 'price.ended'
         else 'price.corrected' end,
    tenant, made.id::text,
    jsonb_build_object('before', jsonb_strip_nulls(to_jsonb(old) - told), 'after', jsonb_strip_nulls(to_jsonb(made) - told))
  from price made
  left join price old on old.id = made.supersedes
  cross join (select array['tenant_id', 'version', 'created_at', 'superseded_in', 'superseded_at', 'supersedes', 'id'] as told) t
  cross join jsonb_to_record(actor) as who
    (kind text, "keyId" uuid, "tenantId" text, "requestId" text, "clientAddress" inet)
  where made.tenant_id = tenant and made.version = list.version;
  return jsonb_build_object('version', list.version, 'changedAt', iso8601_micros(list.changed_at));
end $$;

revoke execute on function put_prices(text, jsonb, jsonb, jsonb, bytea, integer, bigint) from public;

-- revision 1, faa16bb18709
/*
 * The latency in ms that at least so many percent of those in a sketch are at or below, to within 1.8 %; null for
 * none. For people and their queries: the service reads sketches itself.
 */
create or replace function tenant_data.latency_percentile(sketch numeric, percent double precision) returns double precision
language sql immutable parallel safe as $$
  with fraction as (
    select ceil(scale(trim_scale(sketch)) / 12.0)::integer as classes
  ), whole as (
    select classes, trunc(sketch * ('1e' || (12 * classes)::text)::numeric)::text as digits from fraction
  ), padded as (
    select classes, lpad(digits, (12 * ceil(length(digits) / 12.0))::integer, '0') as digits from whole
  ), class as (
    select length(digits) / 12 - i - classes as number, substr(digits, 12 * i - 11, 12)::bigint as count
    from padded, generate_series(1, length(digits) / 12) as i
  ), counted as (
    select ms, sum(count) over (order by ms) as up_to, sum(count) over () as total
    from class, lateral (
      select case when number = -161 then 0
                  else 2 ^ ((number + case when number > -161 then 161 else 162 end) / 20.0::double precision)
                       * 2 / (1 + 2 ^ 0.05::double precision) end as ms
    ) as middle
    where count > 0
  )
  select min(ms) from counted where up_to >= ceil(percent * total / 100)
$$;

grant execute on function tenant_data.latency_percentile(numeric, double precision) to public;

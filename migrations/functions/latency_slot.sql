-- revision 1, d69af32b0e7a
/*
 * A latency as a summand of latency_sketch: 10^(12 n), where n is the number of its class. So twelve decimal digits
 * of a sum are how many latencies were in a class, and sums of sums are sketches too. Twenty classes to an octave,
 * from 2^-60 ms on: the middle of one is at most 1.8 % off. Class 0 is that of 256 ms, for the digits of a numeric
 * are kept from its point outwards; -161 that of 0 ms, between those of a millisecond and above and those below.
 *
 * Rollups are made of it: what it returns must not change.
 */
create or replace function tenant_data.latency_slot(ms double precision) returns numeric
language sql immutable parallel safe as $$
  select ('1e' || (12 * case when ms >= 1 then floor(ln(ms) * 28.853900817779268)::integer - 160
                             when ms > 0 then floor(greatest(ln(ms) * 28.853900817779268, -1200))::integer - 161
                             when ms = 0 then -161 end)::text)::numeric
$$;

grant execute on function tenant_data.latency_slot(double precision) to public;

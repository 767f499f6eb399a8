type Schema = '' | 'tenant_data.';

/**
 * SQL: the number of the version that counts of an event that does. One that has come back keeps its own, though there have been
 * later ones, so it is the one that the last correction has moved to what counts; of an event that none has moved there, the
 * next one of those that do not count.
 *
 * @param tenant, event SQL: their ids.
 */
export function countedVersion(tenant: string, event: string, schema: Schema = ''): string {
  return `coalesce((
            select case when last.counts then last.version end
            from (
              select known.counts, known.version
              from ${schema}correction_event known join ${schema}correction made on made.id = known.correction_id
              where known.tenant_id = ${tenant} and known.event_id = ${event}
              order by made.at desc, known.counts desc
              limit 1
            ) as last
          ), 1 + (select max(known.version) from ${schema}uncounted_event known
                  where known.tenant_id = ${tenant} and known.event_id = ${event}), 1)`;
}

/**
 * SQL: the highest number that a version of an event has had, of those that do not count or that a correction has moved; 0: none.
 * Those that do not count go with the events of their time.
 */
export function lastVersion(tenant: string, event: string): string {
  const highest = (relation: string) =>
    `(select max(known.version) from ${relation} known where known.tenant_id = ${tenant} and known.event_id = ${event})`;
  return `greatest(0, ${highest('uncounted_event')}, ${highest('correction_event')})`;
}

/** What `SeriesRule` says of an event, in SQL: `select value … from event e <from> where <where>`. */
export interface SeriesSql {
  /** Lateral joins behind `event e`, one row each. The expressions below but `where` read them; may be empty. */
  from: string;
  /** Which events count, over `e` alone: by type, time and filter. The tenant and the range are the caller's. */
  where: string;
  /** text[], in the order of the series' paths. */
  dims: string;
  /** numeric, null where there is no value. */
  value: string;
  /** uuid that stands for the member of a set, null where there is none. */
  member: string;
  /** The text that it stands for. */
  memberText: string;
  /** text: the reason why there is neither value nor member, null where there is one or none is needed. */
  ignored: string;
}

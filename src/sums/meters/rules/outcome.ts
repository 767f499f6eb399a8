/** Why an event that a meter counts has no value that it could use. */
export type IgnoredReason = 'missing' | 'null' | 'not_a_number' | 'not_a_scalar' | 'out_of_range';

/** What an event is to a series. */
export type Outcome =
  | { matches: false; because: 'other_type' | 'before_event_from' | 'filtered' }
  | {
      matches: true;
      /** In the order of the series' paths. */
      dims: (string | null)[];
      /** A plain decimal of at most 38 digits, 18 of them after the point; null where there is none, and of sets. */
      value: string | null;
      /** The text of a set's member; null where there is none, and where values are numbers. */
      member: string | null;
      /** Of AI usage, tokens by kind (usageRule.ts); null where none are known. Left out of anything else. */
      counts?: readonly number[] | null;
      /** Null where there is a value or a member, and where only events are counted. */
      ignored: IgnoredReason | null;
    };

import type { UsageEvent } from '../../../model/usageEvent.ts';
import type { SeriesDefinition } from '../definition/meterDefinition.ts';
import { stepsOf } from '../definition/paths.ts';
import { holderOf } from './conditionHolds.ts';
import type { Outcome } from './outcome.ts';
import { type Read, readerOf } from './readPath.ts';
import { dimensionOf, numberIgnored, numberOf, textIgnored, textOf } from './values.ts';

export type { IgnoredReason, Outcome } from './outcome.ts';

const OTHER_TYPE: Outcome = { matches: false, because: 'other_type' };
const BEFORE_EVENT_FROM: Outcome = { matches: false, because: 'before_event_from' };
const FILTERED: Outcome = { matches: false, because: 'filtered' };

/**
 * The rules of one series, compiled: which events count, and what of them. sqlOfSeries.ts says the same to PostgreSQL,
 * and test/integration/sums/meterRules.test.ts holds the two equal.
 */
export class SeriesRule {
  readonly #eventType: string;
  readonly #fromMicros: number;
  readonly #filter: ((event: UsageEvent) => boolean)[];
  readonly #dims: Read[];
  readonly #value: Read | null;
  readonly #distinct: boolean;

  /** @param series in its normal form, as `seriesOf` and `seriesFromJson` give it. */
  constructor({ eventType, eventFromMicros, filter, paths, value, distinct }: SeriesDefinition) {
    this.#eventType = eventType;
    this.#fromMicros = eventFromMicros ?? Number.NEGATIVE_INFINITY;
    this.#filter = filter.map(holderOf);
    this.#dims = paths.map((path) => readerOf(stepsOf(path)));
    this.#value = value === null ? null : readerOf(stepsOf(value));
    this.#distinct = distinct;
  }

  /**
   * @param event as it is stored, of the tenant of the series: that is not looked at.
   * @param known its dimensions, where a series with the same paths has had them read.
   */
  evaluate(event: UsageEvent, known?: (string | null)[]): Outcome {
    if (event.eventType !== this.#eventType) return OTHER_TYPE;
    if (event.tsMicros < this.#fromMicros) return BEFORE_EVENT_FROM;
    for (const holds of this.#filter) if (!holds(event)) return FILTERED;
    const dims = known ?? this.#dims.map((read) => dimensionOf(read(event)));
    if (this.#value === null) return { matches: true, dims, value: null, member: null, ignored: null };
    const found = this.#value(event);
    if (this.#distinct) {
      const member = textOf(found);
      const ignored = member === null ? textIgnored(found) : null;
      return { matches: true, dims, value: null, member, ignored };
    }
    const value = numberOf(found);
    return {
      matches: true,
      dims,
      value,
      member: null,
      ignored: value === null ? numberIgnored(found) : null,
    };
  }
}

import type { UsageEvent } from '../../../model/usageEvent.ts';
import { dimensionPlaces, type MeterDefinition, seriesOf } from '../definition/meterDefinition.ts';
import { SeriesRule } from '../rules/evaluateEvent.ts';
import type { IgnoredReason } from '../rules/outcome.ts';

/** What an event is to a meter of its type. */
export interface Verdict {
  /** `ignored`: it does not match, or it does and has no value that can be aggregated. */
  verdict: 'counted' | 'ignored';
  /** Exact decimal, or the text of a member; left out where events are counted. */
  value?: string;
  /** Left out where it does not match, or the meter has none. */
  dimensions?: Record<string, string | null>;
  reason?: IgnoredReason | 'filtered' | 'before_event_from';
}

/** Judges events by a definition, as they are judged when they are written. */
export class Judge {
  private readonly rule: SeriesRule;
  private readonly places: [name: string, place: number][];

  constructor(definition: MeterDefinition) {
    const series = seriesOf(definition);
    this.rule = new SeriesRule(series);
    this.places = Object.entries(dimensionPlaces(definition, series));
  }

  /** @returns null for an event of another type. */
  judge(event: UsageEvent): Verdict | null {
    const outcome = this.rule.evaluate(event);
    if (!outcome.matches) {
      return outcome.because === 'other_type' ? null : { verdict: 'ignored', reason: outcome.because };
    }
    const value = outcome.value ?? outcome.member;
    return {
      verdict: outcome.ignored === null ? 'counted' : 'ignored',
      ...(value !== null && { value }),
      ...(this.places.length > 0 && {
        dimensions: Object.fromEntries(
          this.places.map(([name, place]) => [name, outcome.dims[place] ?? null]),
        ),
      }),
      ...(outcome.ignored !== null && { reason: outcome.ignored }),
    };
  }
}

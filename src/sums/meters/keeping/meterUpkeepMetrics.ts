import { Counter, Gauge, type Registry } from 'prom-client';

/** Metrics of keeping meters' numbers. Counts are of this instance, gauges of the database as of the last look. */
export class MeterUpkeepMetrics {
  readonly folded: Counter;
  readonly filled: Counter;
  readonly fillSeconds: Counter;
  readonly left: Counter;
  readonly partsWaiting: Gauge;
  readonly seriesFilling: Gauge;
  readonly fillBehind: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    const counter = (name: string, help: string) => new Counter({ name, help, registers });
    const gauge = (name: string, help: string) => new Gauge({ name, help, registers });
    this.folded = counter(
      'tidemark_meter_parts_folded_total',
      'Parts of meters moved into the levels that they are kept in',
    );
    this.filled = counter(
      'tidemark_meter_filled_events_total',
      'Events of the past brought into series of meters; one that several series count, once for each',
    );
    this.fillSeconds = counter(
      'tidemark_meter_fill_seconds_total',
      'Time spent on bringing events of the past into series, without the rest in between',
    );
    this.left = counter(
      'tidemark_meter_upkeep_left_total',
      'Times that folding or filling was left to another instance, or done again because chunks were moved',
    );
    this.partsWaiting = gauge(
      'tidemark_meter_parts_waiting',
      "Parts of meters that are not folded yet, in the whole database, by the server's own count",
    );
    this.seriesFilling = gauge(
      'tidemark_meter_series_filling',
      'Series of meters whose past is not in their levels yet; what is asked for is read from events meanwhile',
    );
    this.fillBehind = gauge(
      'tidemark_meter_fill_behind_seconds',
      'The longest past that a series still lacks in its levels; 0: none does',
    );
  }
}

import { seriesFromJson } from '../definition/meterDefinition.ts';
import { SeriesRule } from '../rules/evaluateEvent.ts';
import { USAGE_RULE } from '../rules/usageRule.ts';

/** A live series, as writers need it. */
export interface FedSeries {
  readonly id: number;
  readonly tenantId: string;
  /** Null: events of every type. */
  readonly eventType: string | null;
  /** Whether its values are members of a set rather than numbers. */
  readonly distinct: boolean;
  /** The paths of its dimensions as one text: what has the same has the same dimensions of each event. */
  readonly paths: string;
  readonly rule: Pick<SeriesRule, 'evaluate'>;
}

/** A series as the database tells of it: its definition as text, whose numbers have all their digits. */
export interface SeriesRow {
  id: number;
  tenant: string;
  definition: string;
}

/** The series of a tenant. */
interface SeriesOfTenant {
  /** By type, those of every type included. */
  byType: Map<string, FedSeries[]>;
  /** What events of any other type feed. */
  ofEveryType: FedSeries[];
}

const NOTHING: readonly FedSeries[] = [];

/** Which series the events of each tenant feed, as of one version of `Interest`. Never changed. */
export class SeriesOfTenants {
  static readonly NONE = new SeriesOfTenants([]);

  /** The greatest id among those it was ever made of: what is new has a greater one. */
  readonly lastId: number;
  private readonly series: readonly FedSeries[];
  private readonly tenants = new Map<string, SeriesOfTenant>();

  constructor(series: readonly FedSeries[], lastId = 0) {
    this.series = series;
    this.lastId = series.reduce((last, { id }) => Math.max(last, id), lastId);
    for (const one of series) {
      const own: SeriesOfTenant = this.tenants.get(one.tenantId) ?? { byType: new Map(), ofEveryType: [] };
      this.tenants.set(one.tenantId, own);
      if (one.eventType === null) own.ofEveryType.push(one);
    }
    for (const one of series) {
      if (one.eventType === null) continue;
      const { byType, ofEveryType } = this.tenants.get(one.tenantId)!;
      const others = byType.get(one.eventType) ?? [...ofEveryType];
      byType.set(one.eventType, others);
      const alike = others.findLastIndex(({ paths }) => paths === one.paths);
      others.splice(alike < 0 ? others.length : alike + 1, 0, one);
    }
  }

  /** Whether there is nothing to feed at all. */
  get isEmpty(): boolean {
    return this.series.length === 0;
  }

  /** The series that an event feeds, if their rules say so: those with the same paths side by side. */
  of({ tenantId, eventType }: { tenantId: string; eventType: string }): readonly FedSeries[] {
    const own = this.tenants.get(tenantId);
    return own === undefined ? NOTHING : (own.byType.get(eventType) ?? own.ofEveryType);
  }

  /**
   * The same a while later: rules are compiled once, since a series never changes.
   *
   * @param live the ids of all that live now.
   * @param added those with an id above `lastId`.
   */
  next(live: readonly number[], added: readonly SeriesRow[]): SeriesOfTenants {
    if (live.length === this.series.length && added.length === 0) return this;
    const lives = new Set(live);
    const kept = this.series.filter(({ id }) => lives.has(id));
    return new SeriesOfTenants([...kept, ...added.map(compiled)], this.lastId);
  }
}

function compiled({ id, tenant, definition }: SeriesRow): FedSeries {
  const series = seriesFromJson(definition);
  const { kind, eventType, distinct } = series;
  if (kind === 'usage') {
    return { id, tenantId: tenant, eventType: null, distinct, paths: kind, rule: USAGE_RULE };
  }
  const paths = JSON.stringify(series.paths);
  return { id, tenantId: tenant, eventType, distinct, paths, rule: new SeriesRule(series) };
}

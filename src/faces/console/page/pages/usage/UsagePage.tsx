import { oneOf } from '../../address/oneOf.ts';
import { usePlace } from '../../address/place.ts';
import { type Range, useRange } from '../../address/range.ts';
import type { Question } from '../../api/request.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { change, decimal, figure, latency, short, whole } from '../../format/numbers.ts';
import { sumOf } from '../../format/sumOf.ts';
import { bucketOf } from '../../format/times.ts';
import { Choice } from '../../parts/Choice.tsx';
import { counts, decimals } from '../../parts/columns.tsx';
import { Download } from '../../parts/Download.tsx';
import { Empty } from '../../parts/Empty.tsx';
import { Filter } from '../../parts/Filter.tsx';
import { LineChart } from '../../parts/LineChart.tsx';
import { Page } from '../../parts/Page.tsx';
import { RangePicker } from '../../parts/RangePicker.tsx';
import { Stat, Stats } from '../../parts/Stat.tsx';
import { SENDS_EVENT } from '../../parts/sample.ts';
import { type Column, Table } from '../../parts/Table.tsx';
import { View } from '../../parts/View.tsx';
import { SUMS } from '../windows/window.ts';
import { bucketsOf, cutOf, earlier, GRANULARITIES, type Granularity } from './buckets.ts';
import {
  countOf,
  groupsOf,
  inCurrencies,
  MEASURES,
  type Measure,
  type Point,
  seriesOf,
  type Totals,
  totalsOf,
} from './series.ts';

/** Answers are asked for in one piece; what does not fit is said. */
const LIMIT = 10_000;
const FIELDS: Record<string, string> = {
  customer: 'customerId',
  endpoint: 'endpoint',
  model: 'model',
  eventType: 'eventType',
  provider: 'provider',
};
const GROUPS = {
  '': 'nothing',
  customer: 'customer',
  endpoint: 'endpoint',
  model: 'model',
  eventType: 'event type',
};

interface Answered {
  data: Point[];
  nextCursor: string | null;
}

/** Usage and costs over time: by bucket and group, against the period before. */
export default function UsagePage() {
  const place = usePlace();
  const range = useRange('24h', 60_000);
  const { zone } = range;
  const measure = MEASURES[oneOf(MEASURES, place.get('measure'))]!;
  const costs = measure === MEASURES.cost;
  const by = ['by', 'and'].map((at) => place.get(at) ?? '').filter((group) => Object.hasOwn(FIELDS, group));
  const groups = [...new Set(by)].filter((group) => costs || group !== 'provider');
  const { length, granularity, from } = cutOf(range, place.get('granularity'));
  const question = (start: Date, end: Date): Question => ({
    path: costs ? '/v1/costs' : '/v1/usage',
    query: {
      from: start.toISOString(),
      to: end.toISOString(),
      granularity,
      timezone: zone,
      groupBy: groups.join(','),
      customerId: place.get('customerId'),
      endpoint: place.get('endpoint'),
      model: place.get('model'),
      eventType: place.get('eventType'),
      limit: LIMIT,
    },
  });
  const asked = question(from, range.to);
  const comparing = place.get('compare') === '1';
  const [from0, to0] = [from, range.to].map((at) => earlier(at, length, zone));
  const answer = useAnswer<Answered>(asked);
  const before = useAnswer<Answered>(comparing ? question(from0!, to0!) : null);
  const pointsOf = (data: Answered) => (costs ? inCurrencies(data.data as never) : data.data);

  return (
    <Page
      title="Usage"
      actions={
        <>
          <RangePicker range={range} />
          <label class="choice">
            <input
              type="checkbox"
              checked={comparing}
              onChange={({ currentTarget }) => place.set({ compare: currentTarget.checked ? 1 : null })}
            />
            <span>Compare with the period before</span>
          </label>
        </>
      }
    >
      <div class="row">
        <Choice label="Show" name="measure" options={namesOf(MEASURES)} />
        <Choice label="by" name="by" options={costs ? { ...GROUPS, provider: 'provider' } : GROUPS} />
        {groups.length > 0 && <Choice label="and" name="and" options={GROUPS} />}
        <Choice label="in" name="granularity" options={GRANULARITIES} />
        <Filter label="Customer" name="customerId" />
        <Filter label="Endpoint" name="endpoint" />
        <Filter label="Model" name="model" />
        <Filter label="Type" name="eventType" />
      </div>
      <View
        title={measure.text}
        question={asked}
        answer={answer}
        actions={
          <Download
            name={`${costs ? 'costs' : 'usage'}.csv`}
            question={{ ...asked, query: { ...asked.query, limit: LIMIT } }}
          />
        }
      >
        {(data) => (
          <Explored
            points={pointsOf(data)}
            before={comparing && before.data ? pointsOf(before.data) : null}
            whole={data.nextCursor === null}
            {...{ measure, costs, groups, granularity }}
            range={{ ...range, from }}
            earlier={[from0!, to0!]}
          />
        )}
      </View>
    </Page>
  );
}

const namesOf = (measures: Record<string, Measure>) =>
  Object.fromEntries(Object.entries(measures).map(([id, { text }]) => [id, text]));

interface ExploredProps {
  points: Point[];
  /** Of the period before; null: not compared, or not known yet. */
  before: Point[] | null;
  /** Whether these are all points there are. */
  whole: boolean;
  measure: Measure;
  costs: boolean;
  groups: string[];
  granularity: Granularity;
  range: Range;
  earlier: [Date, Date];
}

function Explored(props: ExploredProps) {
  const { points, before, measure, costs, groups, granularity, range, earlier } = props;
  const { zone } = range;
  if (points.length === 0 && !before?.length) {
    return (
      <Empty question={SENDS_EVENT}>
        No {costs ? 'AI usage' : 'usage'} in this range{costs ? '' : '. An event fills it'}:
      </Empty>
    );
  }
  const fields = groups.map((group) => FIELDS[group]!);
  const named = groups.map((group) =>
    group === 'eventType' ? 'Event type' : group[0]!.toUpperCase() + group.slice(1),
  );
  const all = groupsOf(points, fields, measure);
  const times = bucketsOf(range.from, range.to, granularity, zone);
  const series = seriesOf(all, times, measure, fields.length > 0);
  if (before !== null && measure.adds) {
    const [start, end] = earlier;
    // Currencies do not add up: of costs, those of the first line.
    const currency = all[0]?.points[0]?.currency;
    const total = [{ name: '', points: before.filter((point) => point.currency === currency), size: 0 }];
    const [line] = seriesOf(total, bucketsOf(start, end, granularity, zone), measure, false);
    series.push({ label: 'Before', before: true, values: times.map((_, i) => line!.values[i] ?? null) });
  }
  const format = measure.adds ? short : latency;
  return (
    <>
      {!props.whole && (
        <p class="warn">
          More than {whole(LIMIT)} points: these are the first. Take a coarser granularity, or a filter.
        </p>
      )}
      {!costs && props.whole && <Sums now={totalsOf(points)} before={before && totalsOf(before)} />}
      <LineChart
        label={`${measure.text} over time`}
        {...{ times, series, zone, format }}
        bars={measure.adds && series.length === 1}
        tabled={fields.length === 0 && before === null}
        zooms
      />
      {fields.length > 0 && measure.adds && (
        <>
          <h3>In all</h3>
          <Table
            label="Totals by group"
            rows={all}
            id="name"
            columns={[
              { head: named.join(' · '), cell: ({ name }) => name, wide: true },
              { head: 'Calls', num: true, cell: ({ points }) => whole(countOf(points, 'calls')) },
              costs
                ? {
                    head: 'Cost',
                    num: true,
                    cell: ({ points }) => decimal(sumOf(points.map(({ amount }) => amount))),
                  }
                : { head: 'Tokens', num: true, cell: ({ points }) => whole(countOf(points, 'tokens')) },
            ]}
          />
        </>
      )}
      <h3>By time</h3>
      <Table
        label={`${measure.text} by time`}
        rows={points}
        capped
        id={(point) => [point.bucket, point.currency, ...fields.map((field) => point[field])].join(' ')}
        columns={[
          { head: 'From', cell: ({ bucket }) => bucketOf(bucket, granularity, zone) },
          ...fields.map((field, i) => ({
            head: named[i],
            cell: (point: Point) => String(point[field] ?? '(none)'),
          })),
          ...(costs ? COSTS : USAGE),
        ]}
      />
    </>
  );
}

const USAGE: Column<Point>[] = [
  counts('Calls', 'calls'),
  counts('Tokens', 'tokens'),
  counts('Input', 'inputTokens'),
  counts('Output', 'outputTokens'),
  decimals('Value', 'value'),
  { head: 'Mean', num: true, cell: (point) => latency(point.latency.avgMs) },
  { head: 'p50', num: true, cell: (point) => latency(point.latency.p50Ms) },
  { head: 'p95', num: true, cell: (point) => latency(point.latency.p95Ms) },
  { head: 'p99', num: true, cell: (point) => latency(point.latency.p99Ms) },
];
const COSTS: Column<Point>[] = [
  { head: 'Currency', cell: ({ currency }) => currency ?? 'no price' },
  { head: 'Cost', num: true, cell: ({ amount, currency }) => (currency ? decimal(amount) : '–') },
  counts('AI calls', 'calls'),
  counts('Without price', 'unpricedCalls'),
  counts('Tokens unknown', 'unknownCalls'),
];

function Sums({ now, before }: { now: Totals; before: Totals | null }) {
  return (
    <Stats>
      {SUMS.map(([name, label]) => (
        <Stat
          label={label}
          value={figure(now[name])}
          sub={before && change(Number(now[name]), Number(before[name]))}
        />
      ))}
    </Stats>
  );
}

import { Link } from '../../address/Link.tsx';
import { go, link, usePlace } from '../../address/place.ts';
import { type Range, useRange } from '../../address/range.ts';
import { ask, type Question } from '../../api/request.ts';
import { type Answer, useAnswer } from '../../api/useAnswer.ts';
import { decimal, share, short, whole } from '../../format/numbers.ts';
import { bucketOf, lengthOf, stamp } from '../../format/times.ts';
import { Act } from '../../parts/Act.tsx';
import { Badge } from '../../parts/Badge.tsx';
import { Choice } from '../../parts/Choice.tsx';
import { counts, decimals } from '../../parts/columns.tsx';
import { Download } from '../../parts/Download.tsx';
import { Empty } from '../../parts/Empty.tsx';
import { Facts } from '../../parts/Facts.tsx';
import { Field } from '../../parts/Field.tsx';
import { Filter } from '../../parts/Filter.tsx';
import { LineChart } from '../../parts/LineChart.tsx';
import { Page } from '../../parts/Page.tsx';
import { RangePicker } from '../../parts/RangePicker.tsx';
import { Stat, Stats } from '../../parts/Stat.tsx';
import { SAMPLE_EVENT, SENDS_EVENT } from '../../parts/sample.ts';
import { type Column, Table } from '../../parts/Table.tsx';
import { View } from '../../parts/View.tsx';
import { When } from '../../parts/When.tsx';
import { WindowState } from '../../parts/WindowState.tsx';
import { useSession } from '../../session/session.tsx';
import { bucketsOf, cutOf, GRANULARITIES, type Granularity } from '../usage/buckets.ts';
import { adds, conditionText, described, type Meter, type MeterPoint, reasonsText } from './meter.ts';

/** What is chosen for events that have no value of a dimension. */
const NONE = '(none)';
const LIMIT = 10_000;
const DRAWN = 8;

/** One meter: what it is, how far its past is summed up, and its numbers. */
export function MeterDetail({ slug }: { slug: string }) {
  const session = useSession();
  const range = useRange('24h', 15_000);
  const question = { path: `/v1/meters/${encodeURIComponent(slug)}` };
  const answer = useAnswer<Meter>(question, { everyMs: 15_000 });
  const meter = answer.data;
  return (
    <Page
      title={meter?.name ?? slug}
      sub={meter && described(meter)}
      actions={
        <>
          <Link to="meters">All meters</Link>
          <RangePicker range={range} />
          {meter && session.may('admin') && (
            <>
              <Act
                label="Rename"
                title={`Rename ${meter.name}`}
                action="Save"
                run={async (given) => {
                  const body = { name: given.get('name'), description: given.get('description') || null };
                  await ask({ ...question, method: 'PATCH', body });
                  answer.reload();
                }}
              >
                <Field label="Name">
                  <input name="name" required maxLength={256} defaultValue={meter.name} />
                </Field>
                <Field label="Description">
                  <textarea
                    name="description"
                    rows={3}
                    maxLength={1_024}
                    defaultValue={meter.description ?? ''}
                  />
                </Field>
              </Act>
              <Act
                label="Archive"
                title={`Archive ${meter.name}?`}
                action="Archive it"
                danger
                run={async () => {
                  await ask({ ...question, method: 'DELETE' });
                  go(link('meters'));
                  return `${meter.name} is archived.`;
                }}
              >
                <p>
                  It counts and answers no more, at once and for good, and <code>{slug}</code> is free for
                  another meter. Events stay: a meter that is made again counts them again.
                </p>
              </Act>
            </>
          )}
        </>
      }
    >
      {meter && <Numbers meter={meter} range={range} />}
      <View title="What it counts" question={question} answer={answer}>
        {(shown) => <About meter={shown} zone={range.zone} />}
      </View>
    </Page>
  );
}

function About({ meter, zone }: { meter: Meter; zone: string }) {
  const { slug, description, filter, dimensions, eventFrom, ignored = {}, createdAt } = meter;
  const named = Object.entries(dimensions);
  return (
    <Facts
      facts={{
        Slug: <code>{slug}</code>,
        Counts: described(meter),
        Description: description,
        'Only events with':
          filter.length > 0 && filter.map((one) => <code class="line">{conditionText(one)}</code>),
        'Only events from': eventFrom && <When at={eventFrom} />,
        Dimensions:
          named.length > 0 &&
          named.map(([name, path]) => (
            <span class="line">
              {name} <code class="muted">{path}</code>
            </span>
          )),
        'Ignored, of all that is summed up': reasonsText(ignored) || 'nothing',
        'Its past': <Fill meter={meter} zone={zone} />,
        Made: <When at={createdAt} />,
      }}
    />
  );
}

/** How far its past is summed up. */
function Fill({ meter: { fill, createdAt }, zone }: { meter: Meter; zone: string }) {
  const { state, from, goal } = fill;
  if (state === 'complete') {
    return (
      <>
        <Badge>summed up</Badge> {from ? `from ${stamp(from, zone)} on` : 'all of it'}
      </>
    );
  }
  const made = Date.parse(createdAt);
  const length = goal === null ? null : made - Date.parse(goal);
  const done = from === null ? 0 : Math.max(0, made - Date.parse(from));
  return (
    <>
      <Badge>filling</Badge>{' '}
      {length !== null && length > 0 && (
        <progress max={length} value={Math.min(done, length)} aria-label="Summed up of its past" />
      )}{' '}
      {from ? `back to ${stamp(from, zone)}, ${lengthOf(done)}` : 'nothing yet'}
      {goal && ` of ${lengthOf(length!)}`}. Its numbers are as exact meanwhile, and slower.
    </>
  );
}

interface Page1 {
  data: MeterPoint[];
  nextCursor: string | null;
}

function Numbers({ meter, range }: { meter: Meter; range: Range }) {
  const place = usePlace();
  const { zone } = range;
  const names = Object.keys(meter.dimensions);
  const asked = place.get('by');
  const by = asked === 'customer' || (asked !== null && names.includes(asked)) ? asked : '';
  const { granularity, from } = cutOf(range, place.get('granularity'));
  const filters = names.flatMap((name) => {
    const value = place.get(`f.${name}`);
    return value === null ? [] : [[name, value] as const];
  });
  const query = {
    from: from.toISOString(),
    to: range.params.to,
    customerId: place.get('customerId'),
    ...Object.fromEntries(
      filters.filter(([, value]) => value !== NONE).map(([name, value]) => [`filter[${name}]`, value]),
    ),
    without: filters
      .filter(([, value]) => value === NONE)
      .map(([name]) => name)
      .join(','),
  };
  const path = `/v1/meters/${meter.slug}/query`;
  const series: Question = {
    path,
    query: { ...query, granularity, timezone: zone, groupBy: by, limit: LIMIT },
  };
  const whole1: Question = { path, query };
  const grouped: Question = { path, query: { ...query, groupBy: by, limit: LIMIT } };
  const points = useAnswer<Page1>(series);
  const total = useAnswer<Page1>(whole1);
  const groups = useAnswer<Page1>(by === '' ? null : grouped);
  return (
    <>
      <div class="row">
        <Choice
          label="By"
          name="by"
          options={{
            '': 'nothing',
            customer: 'customer',
            ...Object.fromEntries(names.map((name) => [name, name])),
          }}
        />
        <Choice label="in" name="granularity" options={GRANULARITIES} />
        <Filter label="Customer" name="customerId" />
        {names.map((name) => (
          <DimensionFilter slug={meter.slug} name={name} params={{ from: query.from, to: query.to }} />
        ))}
      </div>
      <View title="Over the range" question={whole1} answer={total}>
        {({ data: [row] }) => (
          <Stats>
            <Stat label="Value" value={decimal(row?.value ?? (adds(meter) ? '0' : null))} />
            <Stat label="Events" value={whole(row?.events ?? 0)} />
            <Stat
              label="Ignored"
              value={whole(row?.ignored ?? 0)}
              tone={row?.ignored ? 'warn' : 'plain'}
              sub={row && row.ignored > 0 ? share(row.ignored, row.events) : null}
            />
          </Stats>
        )}
      </View>
      <View
        title={by === '' ? 'Over time' : `Over time, by ${by}`}
        question={series}
        answer={points}
        actions={<Download name={`${meter.slug}.csv`} question={series} />}
      >
        {(data) => (
          <Chart
            {...{ meter, by, granularity, zone }}
            page={data}
            from={from}
            to={range.to}
            groups={groups}
          />
        )}
      </View>
      {by !== '' && (
        <View
          title={`By ${by}`}
          question={grouped}
          answer={groups}
          actions={<Download name={`${meter.slug}-${by}.csv`} question={grouped} />}
        >
          {({ data }) => (
            <Table
              label={`Values by ${by}`}
              rows={inOrder(data)}
              capped
              id={(row) => nameOf(row, by)}
              columns={[
                {
                  head: by,
                  wide: true,
                  cell: (row) =>
                    by === 'customer' ? (
                      <Link to={['customers', row.customerId!]}>{row.customerId}</Link>
                    ) : (
                      nameOf(row, by)
                    ),
                },
                ...COUNTS,
              ]}
            />
          )}
        </View>
      )}
    </>
  );
}

const COUNTS: Column<MeterPoint>[] = [
  decimals('Value', 'value'),
  counts('Events', 'events'),
  counts('Ignored', 'ignored'),
];

const nameOf = ({ customerId, dimensions }: MeterPoint, by: string) =>
  (by === 'customer' ? customerId : dimensions?.[by]) ?? NONE;
const inOrder = (rows: MeterPoint[]) => [...rows].sort((a, b) => Number(b.value ?? 0) - Number(a.value ?? 0));

interface ChartProps {
  meter: Meter;
  by: string;
  granularity: Granularity;
  zone: string;
  page: Page1;
  from: Date;
  to: Date;
  groups: Answer<Page1>;
}

function Chart({ meter, by, granularity, zone, page, from, to, groups }: ChartProps) {
  const { data } = page;
  if (data.length === 0) {
    const { eventType } = meter;
    const body = { ...SAMPLE_EVENT, eventId: 'one-more', eventType };
    return (
      <Empty question={{ ...SENDS_EVENT, body }}>
        Nothing is counted in this range. Events of type <code>{eventType}</code> are:
      </Empty>
    );
  }
  const times = bucketsOf(from, to, granularity, zone);
  const at = new Map(times.map((ms, i) => [ms, i]));
  const sums = ['sum', 'count', 'uniqueCount'].includes(meter.aggregation);
  const drawn =
    by === ''
      ? [meter.name]
      : inOrder(groups.data?.data ?? [])
          .slice(0, DRAWN)
          .map((row) => nameOf(row, by));
  const series = drawn.map((label) => ({ label, values: times.map((): number | null => (sums ? 0 : null)) }));
  for (const point of data) {
    const line = series[by === '' ? 0 : drawn.indexOf(nameOf(point, by))];
    const i = at.get(Date.parse(point.windowStart));
    if (line && i !== undefined && point.value !== null) line.values[i] = Number(point.value);
  }
  const more = (groups.data?.data.length ?? 0) - drawn.length;
  return (
    <>
      {page.nextCursor !== null && (
        <p class="warn">
          More than {whole(LIMIT)} rows: these are the first. Take a coarser granularity, or a filter.
        </p>
      )}
      {series.length > 0 && (
        <LineChart
          label={`${meter.name} over time`}
          {...{ times, series, zone }}
          format={short}
          tabled
          bars={sums && series.length === 1}
          zooms
        />
      )}
      {more > 0 && (
        <p class="muted">
          The first {DRAWN} are drawn; {whole(more)} more are in the tables.
        </p>
      )}
      <Table
        label={`${meter.name} by window`}
        rows={data.toReversed()}
        capped
        id={(point) => `${point.windowStart} ${by && nameOf(point, by)}`}
        columns={[
          { head: 'From', cell: ({ windowStart }) => bucketOf(windowStart, granularity, zone) },
          ...(by === '' ? [] : [{ head: by, cell: (point: MeterPoint) => nameOf(point, by), wide: true }]),
          ...COUNTS,
          {
            head: 'State',
            cell: ({ state, revision }) => <WindowState {...{ state, revision }} />,
          },
        ]}
      />
    </>
  );
}

/** Only events with a value of a dimension; what there is to choose from is what events of the range have. */
function DimensionFilter({
  slug,
  name,
  params,
}: {
  slug: string;
  name: string;
  params: { from: string; to: string };
}) {
  const { data } = useAnswer<{ data: { value: string | null }[] }>({
    path: `/v1/meters/${slug}/values/${encodeURIComponent(name)}`,
    query: { ...params, limit: 200 },
  });
  return <Filter label={name} name={`f.${name}`} known={data?.data.map(({ value }) => value ?? NONE)} />;
}

import { Link } from '../../address/Link.tsx';
import { usePlace } from '../../address/place.ts';
import type { Range } from '../../address/range.ts';
import type { Question } from '../../api/request.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { decimal, share, whole } from '../../format/numbers.ts';
import { Choice } from '../../parts/Choice.tsx';
import { Download } from '../../parts/Download.tsx';
import { Filter } from '../../parts/Filter.tsx';
import { Stat, Stats } from '../../parts/Stat.tsx';
import { Table } from '../../parts/Table.tsx';
import { View } from '../../parts/View.tsx';
import { cutOf, GRANULARITIES } from '../usage/buckets.ts';
import { adds, type Meter } from './meter.ts';
import { COUNTS, groupOf, inOrder, LIMIT, NONE, OverTime, type Points } from './OverTime.tsx';

/** The value of a meter over the range, over time and by what it is told apart by. */
export function Numbers({ meter, range }: { meter: Meter; range: Range }) {
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
  const overall: Question = { path, query };
  const grouped: Question = { path, query: { ...query, groupBy: by, limit: LIMIT } };
  const points = useAnswer<Points>(series);
  const total = useAnswer<Points>(overall);
  const groups = useAnswer<Points>(by === '' ? null : grouped);
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
      <View title="Over the range" question={overall} answer={total}>
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
          <OverTime
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
              id={(row) => groupOf(row, by)}
              columns={[
                {
                  head: by,
                  wide: true,
                  cell: (row) =>
                    by === 'customer' ? (
                      <Link to={['customers', row.customerId!]}>{row.customerId}</Link>
                    ) : (
                      groupOf(row, by)
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

import { Link } from '../../address/Link.tsx';
import { oneOf } from '../../address/oneOf.ts';
import { usePlace } from '../../address/place.ts';
import { type Range, useRange } from '../../address/range.ts';
import { ask } from '../../api/request.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { eachOf, useEach } from '../../api/useEach.ts';
import { decimal, latency, short, whole } from '../../format/numbers.ts';
import { sumOf } from '../../format/sumOf.ts';
import { bucketOf, lengthOf, minuteOf } from '../../format/times.ts';
import { Act } from '../../parts/Act.tsx';
import { Choice } from '../../parts/Choice.tsx';
import { counts, decimals, moments } from '../../parts/columns.tsx';
import { Empty } from '../../parts/Empty.tsx';
import { Field } from '../../parts/Field.tsx';
import { LineChart } from '../../parts/LineChart.tsx';
import { Page } from '../../parts/Page.tsx';
import { RangePicker } from '../../parts/RangePicker.tsx';
import { Stat, Stats } from '../../parts/Stat.tsx';
import { Table } from '../../parts/Table.tsx';
import { Tabs } from '../../parts/Tabs.tsx';
import { View } from '../../parts/View.tsx';
import { useSession } from '../../session/session.tsx';
import { described, type Meter, type MeterPoint } from '../meters/meter.ts';
import { partOf, type Rule, ruleText, type Standings } from '../rules/rule.ts';
import { RuleLink, State } from '../rules/standing.tsx';
import { bucketsOf, cutOf } from '../usage/buckets.ts';
import { MEASURES, type Point, seriesOf, totalsOf } from '../usage/series.ts';
import type { Customer } from './CustomerList.tsx';

const LIMIT = 10_000;
/** So many of its last events are looked through for sessions. */
const LOOKED_THROUGH = 1_000;
const TABS = { usage: 'Usage and cost', meters: 'Meters', sessions: 'Sessions' };

/** One customer: what it has used, what that costs, what meters count of it, its sessions, and where it stands with rules. */
export function CustomerDetail({ id }: { id: string }) {
  const session = useSession();
  const place = usePlace();
  const range = useRange('24h', 30_000);
  const path = `/v1/customers/${encodeURIComponent(id)}`;
  const answer = useAnswer<Customer>({ path });
  const customer = answer.data;
  const tabs: Record<string, string> = session.may('admin') ? { ...TABS, alerts: 'Alerts' } : TABS;
  const tab = oneOf(tabs, place.get('tab'));
  const params = { customerId: id };
  return (
    <Page
      title={customer?.name ?? id}
      sub={
        customer && (
          <>
            <code>{customer.customerId}</code> since {minuteOf(customer.createdAt, range.zone)} ·{' '}
            <Link to="events" params={params}>
              its events
            </Link>{' '}
            ·{' '}
            <Link to="usage" params={params}>
              explore its usage
            </Link>
          </>
        )
      }
      actions={
        <>
          <Link to="customers">All customers</Link>
          <RangePicker range={range} />
          {customer && session.may('admin') && (
            <Act
              label={customer.name === null ? 'Name it' : 'Rename'}
              title={`Name ${id}`}
              action="Save"
              run={async (given) => {
                const name = String(given.get('name')).trim() || null;
                await ask({ method: 'PATCH', path, body: { name } });
                answer.reload();
              }}
            >
              <Field label="Name" hint="Empty: it is called by its id.">
                <input name="name" maxLength={256} defaultValue={customer.name ?? ''} />
              </Field>
            </Act>
          )}
        </>
      }
    >
      {answer.problem && (
        <View title="Customer" question={{ path }} answer={answer}>
          {null}
        </View>
      )}
      <Tabs label="Of the customer" tabs={tabs} />
      {tab === 'usage' && <Usage {...{ id, range }} />}
      {tab === 'meters' && <Meters {...{ id, range }} />}
      {tab === 'sessions' && <Sessions {...{ id, range }} />}
      {tab === 'alerts' && <Alerts id={id} />}
    </Page>
  );
}

interface PointWithCost extends Point {
  cost: { costs: { currency: string; amount: string }[]; unpriced: { calls: number } };
}

function Usage({ id, range }: { id: string; range: Range }) {
  const place = usePlace();
  const { zone } = range;
  const { granularity, from } = cutOf(range);
  const { cost: _, ...measures } = MEASURES;
  const measure = MEASURES[oneOf(measures, place.get('measure'))]!;
  const question = {
    path: '/v1/usage',
    query: {
      from: from.toISOString(),
      to: range.params.to,
      granularity,
      timezone: zone,
      customerId: id,
      cost: true,
      limit: LIMIT,
    },
  };
  const answer = useAnswer<{ data: PointWithCost[] }>(question);
  return (
    <View
      title="Usage and cost"
      question={question}
      answer={answer}
      actions={
        <Choice
          label="Show"
          name="measure"
          options={Object.fromEntries(Object.entries(measures).map(([key, { text }]) => [key, text]))}
        />
      }
    >
      {({ data }) => {
        if (data.length === 0) return <Empty>It has used nothing in this range.</Empty>;
        const totals = totalsOf(data);
        const amounts = new Map<string, string[]>();
        for (const { cost } of data) {
          for (const { currency, amount } of cost.costs) {
            amounts.set(currency, [...(amounts.get(currency) ?? []), amount]);
          }
        }
        const costs = [...amounts].map(([currency, all]) => [currency, sumOf(all)] as const);
        const unpriced = data.reduce((sum, { cost }) => sum + cost.unpriced.calls, 0);
        const times = bucketsOf(from, range.to, granularity, zone);
        const series = seriesOf([{ name: measure.text, points: data, size: 0 }], times, measure, false);
        return (
          <>
            <Stats>
              <Stat label="Calls" value={whole(totals.calls)} />
              <Stat label="Tokens" value={whole(totals.tokens)} />
              <Stat label="Value" value={decimal(totals.value)} />
              {costs.map(([currency, amount]) => (
                <Stat label={`Cost in ${currency}`} value={decimal(amount)} />
              ))}
              {unpriced > 0 && <Stat label="AI calls without a price" value={whole(unpriced)} tone="warn" />}
            </Stats>
            <LineChart
              label={`${measure.text} of ${id}`}
              {...{ times, series, zone }}
              format={measure.adds ? short : latency}
              bars={measure.adds}
              tabled
              zooms
            />
            <Table
              label="Usage by bucket"
              rows={data.toReversed()}
              capped
              id="bucket"
              columns={[
                { head: 'From', cell: ({ bucket }) => bucketOf(bucket, granularity, zone) },
                counts('Calls', 'calls'),
                counts('Tokens', 'tokens'),
                decimals('Value', 'value'),
                { head: 'p95', num: true, cell: (point) => latency(point.latency.p95Ms) },
                ...costs.map(([currency]) => ({
                  head: currency,
                  num: true,
                  cell: ({ cost }: PointWithCost) =>
                    decimal(cost.costs.find((one) => one.currency === currency)?.amount),
                })),
              ]}
            />
          </>
        );
      }}
    </View>
  );
}

function Meters({ id, range }: { id: string; range: Range }) {
  const question = { path: '/v1/meters', query: { limit: 1_000 } };
  const answer = useAnswer<{ data: Meter[] }>(question);
  const meters = answer.data?.data ?? [];
  const numbers = useEach<{ data: MeterPoint[] }>(
    eachOf(meters, ({ slug }) => [
      slug,
      { path: `/v1/meters/${slug}/query`, query: { ...range.params, customerId: id } },
    ]),
  );
  return (
    <View title="Meters, over the range" question={question} answer={answer}>
      {() =>
        meters.length === 0 ? (
          <Empty>There is no meter yet.</Empty>
        ) : (
          <Table
            label="Meters of the customer"
            rows={meters}
            id="slug"
            columns={[
              {
                head: 'Meter',
                cell: ({ slug, name }) => (
                  <Link to={['meters', slug]} params={{ customerId: id }}>
                    {name}
                  </Link>
                ),
              },
              { head: 'Counts', cell: (meter) => described(meter), wide: true },
              { head: 'Value', num: true, cell: ({ slug }) => decimal(numbers.get(slug)?.data[0]?.value) },
              {
                head: 'Events',
                num: true,
                cell: ({ slug }) => {
                  const known = numbers.get(slug);
                  return whole(known && (known.data[0]?.events ?? 0));
                },
              },
              {
                head: 'Ignored',
                num: true,
                cell: ({ slug }) => {
                  const known = numbers.get(slug);
                  return whole(known && (known.data[0]?.ignored ?? 0));
                },
              },
            ]}
          />
        )
      }
    </View>
  );
}

interface SessionTotals {
  id: string;
  events: number;
  value: string;
  tokens: number;
  first: string;
  last: string;
  durationMs: number;
  uniqueCustomers: number;
}

function Sessions({ id, range }: { id: string; range: Range }) {
  const question = {
    path: '/v1/events',
    query: { ...range.params, customerId: id, limit: LOOKED_THROUGH },
  };
  const answer = useAnswer<{ data: { reference?: string }[]; nextCursor: string | null }>(question);
  const named = (answer.data?.data ?? []).flatMap(({ reference }) =>
    reference === undefined ? [] : [reference],
  );
  const ids = [...new Set(named)].slice(0, 50);
  const totals = useEach<SessionTotals>(
    eachOf(ids, (one) => [one, { path: `/v1/sessions/${encodeURIComponent(one)}` }]),
    answer.at,
  );
  const rows = ids.flatMap((one) => totals.get(one) ?? []);
  return (
    <View title="Its latest sessions" question={question} answer={answer}>
      {({ nextCursor }) =>
        ids.length === 0 ? (
          <Empty>
            None of its {nextCursor === null ? '' : `last ${whole(LOOKED_THROUGH)} `}events in this range has
            a <code>sessionId</code> or a <code>reference</code>.
          </Empty>
        ) : (
          <>
            <Table
              label="Sessions of the customer"
              rows={rows}
              id="id"
              columns={[
                {
                  head: 'Session',
                  cell: (one) => (
                    <Link to="events" params={{ reference: one.id }}>
                      {one.id}
                    </Link>
                  ),
                },
                moments('First', 'first'),
                moments('Last', 'last'),
                { head: 'Length', num: true, cell: ({ durationMs }) => lengthOf(durationMs) },
                counts('Events', 'events'),
                counts('Tokens', 'tokens'),
                decimals('Value', 'value'),
                counts('Customers', 'uniqueCustomers'),
              ]}
            />
            <p class="muted">
              Those that its {nextCursor === null ? '' : `last ${whole(LOOKED_THROUGH)} `}events in this range
              name, each over all time.
            </p>
          </>
        )
      }
    </View>
  );
}

function Alerts({ id }: { id: string }) {
  const question = { path: '/v1/alert-rules', query: { limit: 1_000 } };
  const answer = useAnswer<{ data: Rule[] }>(question, { everyMs: 60_000 });
  const rules = (answer.data?.data ?? []).filter(
    ({ kind, customers }) => kind === 'usage' && (customers === null || customers.includes(id)),
  );
  const standings = useEach<Standings>(
    eachOf(rules, (rule) => [
      rule.id,
      { path: `/v1/alert-rules/${rule.id}/customers`, query: { customerId: id } },
    ]),
    answer.at,
  );
  return (
    <View title="Where it stands with rules, now" question={question} answer={answer}>
      {() =>
        rules.length === 0 ? (
          <Empty>
            No rule adds anything up of it. <Link to="rules">Rules</Link>
          </Empty>
        ) : (
          <Table
            label="Where it stands"
            rows={rules}
            id="id"
            columns={[
              {
                head: 'Rule',
                cell: (rule) => <RuleLink rule={rule} />,
              },
              { head: 'Compares', cell: (rule) => ruleText(rule), wide: true },
              {
                head: 'Has',
                num: true,
                cell: (rule) => decimal(standings.get(rule.id) && valueIn(standings, rule)),
              },
              decimals('Threshold', 'threshold'),
              {
                head: 'Of it',
                num: true,
                cell: (rule) => standings.has(rule.id) && partOf(valueIn(standings, rule), rule.threshold),
              },
              {
                head: 'State',
                cell: (rule) =>
                  standings.has(rule.id) && (
                    <State
                      value={valueIn(standings, rule)}
                      rule={rule}
                      told={standings.get(rule.id)!.data[0]?.told ?? false}
                    />
                  ),
              },
            ]}
          />
        )
      }
    </View>
  );
}

const valueIn = (standings: ReadonlyMap<string, Standings>, { id }: Rule) =>
  standings.get(id)?.data[0]?.value ?? '0';

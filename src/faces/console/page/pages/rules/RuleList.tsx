import { useState } from 'preact/hooks';
import { Link } from '../../address/Link.tsx';
import { useAnswer } from '../../api/useAnswer.ts';
import { eachOf, useEach } from '../../api/useEach.ts';
import { usePages } from '../../api/usePages.ts';
import { decimal, NOTHING, whole } from '../../format/numbers.ts';
import { Badge } from '../../parts/Badge.tsx';
import { decimals } from '../../parts/columns.tsx';
import { Empty } from '../../parts/Empty.tsx';
import { Listing } from '../../parts/Listing.tsx';
import { Page } from '../../parts/Page.tsx';
import { Table } from '../../parts/Table.tsx';
import { View } from '../../parts/View.tsx';
import { NewRule } from './NewRule.tsx';
import { partOf, type Rule, ruleText, type Standings, standingOf } from './rule.ts';
import { Customer, RuleLink, State } from './standing.tsx';

/** So many customers of each rule are looked at for who is near. */
const LOOKED_AT = 20;
const SAMPLE = { name: 'quota', kind: 'usage', measure: 'tokens', period: 'month', threshold: '1000000' };
const LISTENS: Record<Rule['kind'], string> = { event: 'alert.triggered', usage: 'usage.threshold' };

/** All rules, and who is near the threshold of one, or above it. */
export function RuleList() {
  const [making, setMaking] = useState(false);
  const question = { path: '/v1/alert-rules', query: { limit: 100 } };
  const pages = usePages<Rule>(question, { everyMs: 60_000 });
  const { rows, answer } = pages;
  const subscriptions = useAnswer<{ data: { active: boolean; messageTypes: string[] }[] }>({
    path: '/v1/subscriptions',
    query: { limit: 1_000 },
  });
  const asked = eachOf(
    rows.filter(({ kind, active }) => kind === 'usage' && active),
    ({ id }) => [id, { path: `/v1/alert-rules/${id}/customers`, query: { limit: LOOKED_AT } }],
  );
  const standings = useEach<Standings>(asked, answer.at);
  const near = [...standings.values()].flatMap(({ rule, data }) =>
    data.filter(({ value }) => standingOf(value, rule.threshold).near).map((one) => ({ rule, ...one })),
  );
  near.sort((a, b) => partIn(b) - partIn(a));
  const heard = new Set(
    subscriptions.data?.data.filter(({ active }) => active).flatMap(({ messageTypes }) => messageTypes),
  );
  const unheard = [...new Set(rows.filter(({ active }) => active).map(({ kind }) => LISTENS[kind]))].filter(
    (type) => subscriptions.data !== null && !heard.has(type),
  );
  const make = (
    <button type="button" class="main" onClick={() => setMaking(true)}>
      Make a rule
    </button>
  );
  return (
    <Page title="Rules" sub="What is worth a message." actions={rows.length > 0 && make}>
      {unheard.length > 0 && (
        <p class="warn">
          Nobody subscribes to {unheard.join(' and ')}: these rules tell nobody yet.{' '}
          <Link to="deliveries">Subscriptions</Link>
        </p>
      )}
      {rows.length > 0 && (
        <View title="Near the threshold, or above it" at={answer.at} question={Object.values(asked)[0]}>
          {near.length === 0 ? (
            <Empty>No customer is at 80 % of a threshold or more in the period of now.</Empty>
          ) : (
            <Table
              label="Customers near a threshold"
              rows={near}
              id={({ rule, customerId }) => `${rule.id} ${customerId}`}
              columns={[
                { head: 'Customer', cell: (one) => <Customer {...one} /> },
                {
                  head: 'Rule',
                  cell: ({ rule }) => <RuleLink rule={rule} />,
                  wide: true,
                },
                decimals('Has', 'value'),
                { head: 'Threshold', num: true, cell: ({ rule }) => decimal(rule.threshold) },
                { head: 'Of it', num: true, cell: ({ value, rule }) => partOf(value, rule.threshold) },
                { head: 'State', cell: ({ value, rule, told }) => <State {...{ value, rule, told }} /> },
              ]}
            />
          )}
        </View>
      )}
      <Listing
        title="Rules"
        question={question}
        pages={pages}
        empty={
          <>
            <p>
              There is no rule yet. One tells of each event that is above a threshold, or of each customer
              whose sum in an hour, a day or a month is.
            </p>
            {make}
          </>
        }
        sample={{ method: 'POST', path: '/v1/alert-rules', body: SAMPLE }}
        label="All rules"
        id="id"
        columns={[
          {
            head: 'Rule',
            cell: (rule) => <RuleLink rule={rule} />,
          },
          { head: 'Compares', cell: ruleText, wide: true },
          decimals('Threshold', 'threshold'),
          {
            head: 'Above',
            num: true,
            cell: ({ id }) => {
              const of = standings.get(id);
              return of ? `${whole(of.above)} of ${whole(of.customers)}` : NOTHING;
            },
          },
          {
            head: 'Of',
            cell: ({ customers, eventType }) =>
              [
                customers ? `${customers.length} customers` : 'all customers',
                eventType && `type ${eventType}`,
              ]
                .filter(Boolean)
                .join(', '),
          },
          {
            head: 'State',
            cell: ({ active }) => <Badge>{active ? 'active' : 'paused'}</Badge>,
          },
        ]}
      />
      {making && <NewRule onClose={() => setMaking(false)} onDone={answer.reload} />}
    </Page>
  );
}

const partIn = ({ value, rule }: { value: string; rule: Rule }) => standingOf(value, rule.threshold).part;

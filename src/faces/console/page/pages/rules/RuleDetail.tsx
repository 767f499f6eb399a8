import { Link } from '../../address/Link.tsx';
import { go, link, usePlace } from '../../address/place.ts';
import { useZone } from '../../address/range.ts';
import { ask } from '../../api/request.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { decimal, whole } from '../../format/numbers.ts';
import { stamp } from '../../format/times.ts';
import { Act } from '../../parts/Act.tsx';
import { Badge } from '../../parts/Badge.tsx';
import { Customers, listOf } from '../../parts/Customers.tsx';
import { decimals } from '../../parts/columns.tsx';
import { Empty } from '../../parts/Empty.tsx';
import { Field } from '../../parts/Field.tsx';
import { Filter } from '../../parts/Filter.tsx';
import { Page } from '../../parts/Page.tsx';
import { Stat, Stats } from '../../parts/Stat.tsx';
import { Table } from '../../parts/Table.tsx';
import { View } from '../../parts/View.tsx';
import { partOf, type Rule, ruleText, type Standings, standingOf } from './rule.ts';
import { Customer, State } from './standing.tsx';

const LIMIT = 500;

/** One rule, and where customers stand with it. */
export function RuleDetail({ id }: { id: string }) {
  const place = usePlace();
  const zone = useZone();
  const path = `/v1/alert-rules/${encodeURIComponent(id)}`;
  const rule = useAnswer<Rule>({ path });
  const usage = rule.data?.kind === 'usage';
  const question = {
    path: `${path}/customers`,
    query: { at: place.get('at'), customerId: place.get('customerId'), limit: LIMIT },
  };
  const answer = useAnswer<Standings>(usage ? question : null, { everyMs: 30_000 });
  const shown = rule.data;
  const change = async (body: object) => {
    await ask({ method: 'PATCH', path, body });
    rule.reload();
    answer.reload();
  };
  return (
    <Page
      title={shown ? (shown.name ?? ruleText(shown)) : 'Rule'}
      sub={shown && `${ruleText(shown)}, above ${decimal(shown.threshold)}`}
      actions={
        <>
          <Link to="rules">All rules</Link>
          {shown && (
            <>
              <Badge>{shown.active ? 'active' : 'paused'}</Badge>
              <Act label={shown.active ? 'Pause' : 'Resume'} run={() => change({ active: !shown.active })} />
              <Act
                label="Change"
                title="Change the rule"
                action="Save"
                run={(given) =>
                  change({
                    name: given.get('name') || null,
                    threshold: given.get('threshold'),
                    customers: listOf(given.get('customers')) ?? null,
                  })
                }
              >
                <p class="muted">
                  Another threshold is another crossing: whoever is above is told of again, with its next
                  event.
                </p>
                <Field label="Name">
                  <input name="name" maxLength={256} defaultValue={shown.name ?? ''} />
                </Field>
                <Field label="Threshold">
                  <input name="threshold" required inputMode="decimal" defaultValue={shown.threshold} />
                </Field>
                <Customers of={shown.customers} />
              </Act>
              <Act
                label="Delete"
                title="Delete this rule?"
                action="Delete it"
                danger
                run={async () => {
                  await ask({ method: 'DELETE', path });
                  go(link('rules'));
                  return 'The rule is deleted.';
                }}
              >
                <p>
                  “{shown.name ?? ruleText(shown)}” tells of nobody any more, and whom it has told of is
                  forgotten: the same rule made again tells of them again.
                </p>
              </Act>
            </>
          )}
        </>
      }
    >
      {usage ? (
        <View
          title="Customers"
          question={question}
          answer={answer}
          actions={<Filter label="Customer" name="customerId" />}
        >
          {(data) => <Standing {...{ data, zone }} />}
        </View>
      ) : (
        <View title="Rule" question={{ path }} answer={rule}>
          {({ customers, eventType }) => (
            <Empty>
              It looks at each event by itself{eventType && ` of type ${eventType}`}
              {customers && `, of ${customers.join(', ')}`}, and tells <code>alert.triggered</code> of each
              that is above: nothing adds up. What was told is among the{' '}
              <Link to="deliveries">deliveries</Link>.
            </Empty>
          )}
        </View>
      )}
    </Page>
  );
}

function Standing({
  data: { rule, periodStart, periodEnd, customers, above, data },
  zone,
}: {
  data: Standings;
  zone: string;
}) {
  const place = usePlace();
  const near = data.filter(({ value }) => standingOf(value, rule.threshold).text === 'near').length;
  const earlier = new Date(Date.parse(periodStart) - 1).toISOString();
  const isNow = Date.parse(periodEnd) > Date.now();
  return (
    <>
      <div class="row">
        <span>
          {stamp(periodStart, zone)} – {stamp(periodEnd, zone)} <small>({rule.period} of UTC)</small>
        </span>
        <button type="button" onClick={() => place.set({ at: earlier })}>
          The {rule.period} before
        </button>
        {!isNow && (
          <button type="button" onClick={() => place.set({ at: null })}>
            The {rule.period} of now
          </button>
        )}
      </div>
      <Stats>
        <Stat label="Threshold" value={decimal(rule.threshold)} />
        <Stat
          label="Above"
          value={whole(above)}
          tone={above > 0 ? 'bad' : 'plain'}
          sub={`of ${whole(customers)} customers`}
        />
        <Stat label="Near" value={whole(near)} tone={near > 0 ? 'warn' : 'plain'} sub="at 80 % or more" />
      </Stats>
      {data.length === 0 ? (
        <Empty>No customer has anything in this {rule.period} that the rule is about.</Empty>
      ) : (
        <Table
          label="Customers and the threshold"
          rows={data}
          id="customerId"
          columns={[
            { head: 'Customer', cell: (one) => <Customer {...one} />, wide: true },
            decimals('Has', 'value'),
            { head: 'Of the threshold', num: true, cell: ({ value }) => partOf(value, rule.threshold) },
            { head: 'State', cell: (one) => <State {...one} rule={rule} /> },
          ]}
        />
      )}
      {customers > data.length && (
        <p class="muted">
          The first {whole(data.length)} of {whole(customers)}.
        </p>
      )}
    </>
  );
}

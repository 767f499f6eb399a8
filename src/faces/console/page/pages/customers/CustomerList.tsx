import { Link } from '../../address/Link.tsx';
import { oneOf } from '../../address/oneOf.ts';
import { go, link, usePlace } from '../../address/place.ts';
import { useRange } from '../../address/range.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { usePages } from '../../api/usePages.ts';
import { decimal, share, whole } from '../../format/numbers.ts';
import { minuteOf } from '../../format/times.ts';
import { Bar } from '../../parts/Bar.tsx';
import { Choice } from '../../parts/Choice.tsx';
import { texts } from '../../parts/columns.tsx';
import { Empty } from '../../parts/Empty.tsx';
import { Listing } from '../../parts/Listing.tsx';
import { Page } from '../../parts/Page.tsx';
import { RangePicker } from '../../parts/RangePicker.tsx';
import { SENDS_EVENT } from '../../parts/sample.ts';
import { Table } from '../../parts/Table.tsx';
import { Tabs } from '../../parts/Tabs.tsx';
import { View } from '../../parts/View.tsx';
import type { Meter } from '../meters/meter.ts';
import { Customer as Named } from '../rules/standing.tsx';

const MEASURES = { calls: 'calls', tokens: 'tokens', value: 'value' };
const FIRST: Record<string, string> = { 20: '20', 100: '100', 1000: '1,000' };

export interface Customer {
  customerId: string;
  name: string | null;
  createdAt: string;
}

interface Top {
  customers: number;
  total: string | null;
  data: { customerId: string; name: string | null; value: string }[];
}

/** Who uses most in a range; and all customers. */
export function CustomerList() {
  const range = useRange('24h', 30_000);
  const all = usePlace().get('tab') === 'all';
  return (
    <Page
      title="Customers"
      actions={
        <>
          <GoTo />
          {!all && <RangePicker range={range} />}
        </>
      }
    >
      <Tabs label="Customers" tabs={{ top: 'Top consumers', all: 'All customers' }} />
      {all ? <All zone={range.zone} /> : <TopConsumers params={range.params} />}
    </Page>
  );
}

/** To a customer by its id. */
function GoTo() {
  const open = (event: SubmitEvent) => {
    event.preventDefault();
    const id = String(new FormData(event.currentTarget as HTMLFormElement).get('id')).trim();
    if (id !== '') go(link(['customers', id]));
  };
  return (
    <form class="row" onSubmit={open}>
      <label class="choice">
        <span>Customer</span>
        <input type="search" name="id" placeholder="its id" autocomplete="off" spellcheck={false} />
      </label>
      <button type="submit">Open</button>
    </form>
  );
}

function TopConsumers({ params }: { params: { from: string; to: string } }) {
  const { get } = usePlace();
  const by = get('by') ?? 'calls';
  const meters = useAnswer<{ data: Meter[] }>({ path: '/v1/meters', query: { limit: 1_000 } });
  const prices = useAnswer<{ data: { currency: string }[] }>({ path: '/v1/prices', query: { limit: 1_000 } });
  const currencies = [...new Set(prices.data?.data.map(({ currency }) => currency))].sort();
  const [what = '', of] = by.split(' ');
  const question = {
    path: '/v1/usage/top',
    query: {
      ...params,
      ...(what === 'meter' ? { meter: of } : { measure: what, currency: of }),
      limit: oneOf(FIRST, get('first')),
    },
  };
  const answer = useAnswer<Top>(question);
  const options = {
    ...MEASURES,
    ...Object.fromEntries(currencies.map((currency) => [`cost ${currency}`, `cost in ${currency}`])),
    ...Object.fromEntries(
      (meters.data?.data ?? []).map(({ slug, name }) => [`meter ${slug}`, `meter ${name}`]),
    ),
  };
  return (
    <>
      <div class="row">
        <Choice label="By" name="by" options={options} />
        <Choice label="First" name="first" options={FIRST} />
      </div>
      <View title="Top consumers" question={question} answer={answer}>
        {({ customers, total, data }) =>
          data.length === 0 ? (
            <Empty question={SENDS_EVENT}>No customer has anything in this range. An event fills it:</Empty>
          ) : (
            <>
              <Table
                label="Customers by what they use"
                rows={data}
                id="customerId"
                columns={[
                  {
                    head: 'Customer',
                    cell: (one) => <Named {...one} />,
                  },
                  {
                    head: options[by as keyof typeof options] ?? by,
                    num: true,
                    cell: ({ value }) => decimal(value),
                  },
                  {
                    head: 'Of all',
                    num: true,
                    cell: ({ value }) => (total === null ? '' : share(Number(value), Number(total))),
                  },
                  {
                    head: <span class="muted">Beside the first</span>,
                    cell: ({ value }) => <Bar value={Number(value)} of={Number(data[0]!.value)} />,
                    wide: true,
                  },
                ]}
                {...(total !== null && { foot: ['All', decimal(total), '', ''] })}
              />
              <p class="muted">
                {data.length < customers
                  ? `The first ${whole(data.length)} of ${whole(customers)}`
                  : whole(customers)}{' '}
                customers.
              </p>
            </>
          )
        }
      </View>
    </>
  );
}

function All({ zone }: { zone: string }) {
  const question = { path: '/v1/customers', query: { limit: 100 } };
  const pages = usePages<Customer>(question);
  return (
    <Listing
      title="All customers, by id"
      question={question}
      pages={pages}
      empty="There is no customer yet. One registers itself with its first event:"
      sample={SENDS_EVENT}
      label="All customers"
      id="customerId"
      columns={[
        {
          head: 'Customer',
          cell: ({ customerId }) => <Link to={['customers', customerId]}>{customerId}</Link>,
        },
        texts('Name', 'name', true),
        { head: 'Since', cell: ({ createdAt }) => minuteOf(createdAt, zone) },
      ]}
    />
  );
}

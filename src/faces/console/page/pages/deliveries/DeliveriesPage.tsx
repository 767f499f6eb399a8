import { useState } from 'preact/hooks';
import { Link } from '../../address/Link.tsx';
import { usePlace } from '../../address/place.ts';
import { usePages } from '../../api/usePages.ts';
import { Act } from '../../parts/Act.tsx';
import { moments, texts } from '../../parts/columns.tsx';
import { Listing } from '../../parts/Listing.tsx';
import { Page } from '../../parts/Page.tsx';
import { Secret } from '../../parts/Secret.tsx';
import { OneSubscription } from './OneSubscription.tsx';
import {
  type Subscription,
  SubscriptionFields,
  SubscriptionState,
  saveSubscription,
  targetOf,
} from './subscription.tsx';

const QUESTION = { path: '/v1/subscriptions', query: { limit: 100 } };
const SAMPLE = { url: 'https://example.com/hook', messageTypes: ['window.closed'] };

/** Who is told of what, and what has become of each message. */
export default function DeliveriesPage() {
  const [id] = usePlace().rest;
  return id === undefined ? <Subscriptions /> : <OneSubscription key={id} id={id} />;
}

function Subscriptions() {
  const pages = usePages<Subscription>(QUESTION, { everyMs: 15_000 });
  const [secret, setSecret] = useState<string | null>(null);
  const create = async (given: FormData) => {
    setSecret((await saveSubscription<{ secret: string }>(given)).secret);
    pages.answer.reload();
  };
  return (
    <Page
      title="Deliveries"
      sub="Who is told of what: webhooks and streams, and what has become of each message."
      actions={
        <Act label="New subscription" title="New subscription" action="Subscribe" class="main" run={create}>
          <SubscriptionFields />
        </Act>
      }
    >
      <Listing
        title="Subscriptions"
        question={QUESTION}
        pages={pages}
        empty="Nobody is told of anything yet. Subscribe above, or so:"
        sample={{ method: 'POST', path: '/v1/subscriptions', body: SAMPLE }}
        label="All subscriptions"
        id="id"
        columns={[
          {
            head: 'To',
            cell: (one) => <Link to={['deliveries', one.id]}>{targetOf(one)}</Link>,
            wide: true,
          },
          { head: 'State', cell: (one) => <SubscriptionState of={one} /> },
          { head: 'Messages', cell: ({ messageTypes }) => messageTypes.join(', ') },
          { head: 'Customers', cell: ({ customers }) => customers?.join(', ') ?? 'all' },
          texts('Description', 'description'),
          moments('Since', 'createdAt'),
        ]}
      />
      {secret !== null && (
        <Secret title="The secret that signs its messages" {...{ secret }} onClose={() => setSecret(null)} />
      )}
    </Page>
  );
}

import { useState } from 'preact/hooks';
import { Link } from '../../address/Link.tsx';
import { go, usePlace } from '../../address/place.ts';
import { ask } from '../../api/request.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { usePages } from '../../api/usePages.ts';
import { Act } from '../../parts/Act.tsx';
import { Choice } from '../../parts/Choice.tsx';
import { texts } from '../../parts/columns.tsx';
import { Facts } from '../../parts/Facts.tsx';
import { Listing } from '../../parts/Listing.tsx';
import { Page } from '../../parts/Page.tsx';
import { Secret } from '../../parts/Secret.tsx';
import { View } from '../../parts/View.tsx';
import { When } from '../../parts/When.tsx';
import { type Delivery, DeliveryState, DeliveryView, type Outcome, OutcomeDialog } from './DeliveryView.tsx';
import {
  type Subscription,
  SubscriptionFields,
  SubscriptionState,
  saveSubscription,
  targetOf,
} from './subscription.tsx';

const STATES = { '': 'all', pending: 'pending', delivered: 'delivered', dead: 'dead letters' };

/** One subscription: what it is, what may be done to it, and its deliveries. */
export function OneSubscription({ id }: { id: string }) {
  const place = usePlace();
  const path = `/v1/subscriptions/${encodeURIComponent(id)}`;
  const answer = useAnswer<Subscription>({ path }, { everyMs: 15_000 });
  const [secret, setSecret] = useState<string | null>(null);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const [state, type] = [place.get('state'), place.get('type')];
  const question = { path: `${path}/deliveries`, query: { state, type, limit: 50 } };
  const pages = usePages<Delivery>(question, { everyMs: 5_000 });
  const chosen = place.get('delivery');
  const one = answer.data;
  const reload = () => {
    answer.reload();
    pages.answer.reload();
  };
  const activate = async (active: boolean) => {
    await ask({ method: 'PATCH', path, body: { active } });
    reload();
    return active ? 'It is active: messages are sent again.' : 'It is paused.';
  };
  const redeliver = async () => {
    let count = 0;
    for (let more = true; more; ) {
      const done = await ask<{ redelivered: number; more: boolean }>({
        method: 'POST',
        path: `${path}/redeliver`,
      });
      count += done.redelivered;
      more = done.more && done.redelivered > 0;
    }
    reload();
    return `${count} ${count === 1 ? 'delivery is' : 'deliveries are'} pending again.`;
  };
  return (
    <Page
      title={one ? targetOf(one) : 'Subscription'}
      sub={<Link to="deliveries">All subscriptions</Link>}
      actions={
        one && (
          <>
            <Act
              label="Send a test"
              class="main"
              run={async () => setOutcome(await ask({ method: 'POST', path: `${path}/test` }))}
            />
            <Act
              label="Change"
              title="Change the subscription"
              run={async (given) => {
                await saveSubscription(given, id);
                reload();
                return 'The subscription is changed.';
              }}
            >
              <SubscriptionFields of={one} />
            </Act>
            {one.active ? (
              <Act label="Pause" title="Pause the subscription" run={() => activate(false)}>
                <p>
                  What is pending waits until it is active again. It does not hear of what happens until then.
                </p>
              </Act>
            ) : (
              <Act label="Activate" run={() => activate(true)} />
            )}
            {one.url !== null && (
              <Act
                label="Rotate secret"
                title="Rotate the secret"
                run={async () => {
                  const made = await ask<{ secret: string }>({
                    method: 'POST',
                    path: `${path}/rotate-secret`,
                  });
                  setSecret(made.secret);
                  reload();
                }}
              >
                <p>Messages are signed by a new secret. The present one signs beside it for 24 hours.</p>
              </Act>
            )}
            <Act
              label="Delete"
              title="Delete the subscription"
              danger
              run={async () => {
                await ask({ method: 'DELETE', path });
                go(place.link('deliveries'));
                return 'The subscription is deleted.';
              }}
            >
              <p>
                Nothing more is sent to <b>{targetOf(one)}</b>. What is pending is not delivered.
              </p>
            </Act>
          </>
        )
      }
    >
      <View title="Subscription" question={{ path }} answer={answer}>
        {(of) => (
          <Facts
            facts={{
              State: (
                <>
                  <SubscriptionState {...{ of }} />{' '}
                  {of.disabledAt !== null && (
                    <>
                      since <When at={of.disabledAt} />: {of.disabledReason}
                    </>
                  )}
                </>
              ),
              Messages: of.messageTypes.join(', ') + (of.digest ? ', with digests' : ''),
              Customers: of.customers?.join(', ') ?? 'all',
              Description: of.description ?? undefined,
              Secrets:
                of.previousSecretUntil === null ? undefined : (
                  <>
                    the one before signs too, until <When at={of.previousSecretUntil} />
                  </>
                ),
              Since: <When at={of.createdAt} />,
              Id: <code>{of.id}</code>,
            }}
          />
        )}
      </View>
      <Listing
        title="Deliveries"
        question={question}
        pages={pages}
        actions={
          <>
            <Choice label="State" name="state" options={STATES} />
            <Choice label="Type" name="type" options={typesOf(one)} />
            {one?.active && state === 'dead' && pages.rows.length > 0 && (
              <Act label="Redeliver all" title="Redeliver all dead letters" run={redeliver}>
                <p>
                  Every dead letter of this subscription becomes pending, the oldest first, with the whole
                  schedule of attempts ahead of it. Receivers know a message again by its id.
                </p>
              </Act>
            )}
          </>
        }
        empty={state || type ? 'There are none of these.' : 'Nothing has been sent yet. A test is sent so:'}
        sample={{ method: 'POST', path: `${path}/test` }}
        label="Deliveries, newest first"
        id="id"
        current={({ id }) => id === chosen}
        columns={[
          {
            head: 'From',
            cell: ({ id: delivery, createdAt }) => (
              <Link to={['deliveries', id]} params={{ state, type, delivery }}>
                <When at={createdAt} />
              </Link>
            ),
          },
          texts('Type', 'type'),
          texts('Customer', 'customerId'),
          { head: 'State', cell: ({ state }) => <DeliveryState {...{ state }} /> },
          { head: 'Attempts', num: true, cell: ({ attempts }) => attempts },
          { head: 'Last answer', cell: (row) => row.lastError ?? row.lastStatus, wide: true },
          {
            head: 'Delivered, or next attempt',
            cell: (row) => <When at={row.deliveredAt ?? row.nextAttemptAt} />,
          },
        ]}
      />
      {chosen !== null && (
        <DeliveryView
          key={chosen}
          path={`${path}/deliveries/${encodeURIComponent(chosen)}`}
          onChange={reload}
        />
      )}
      {secret !== null && <Secret title="The new secret" {...{ secret }} onClose={() => setSecret(null)} />}
      {outcome && <OutcomeDialog {...{ outcome }} onClose={() => setOutcome(null)} />}
    </Page>
  );
}

function typesOf(one: Subscription | null): Record<string, string> {
  return { '': 'all', ...Object.fromEntries((one?.messageTypes ?? []).map((type) => [type, type])) };
}

import { ask } from '../../api/request.ts';
import { Badge } from '../../parts/Badge.tsx';
import { Checks } from '../../parts/Checks.tsx';
import { Customers, listOf } from '../../parts/Customers.tsx';
import { Field } from '../../parts/Field.tsx';

export interface Subscription {
  id: string;
  url: string | null;
  stream: string | null;
  messageTypes: string[];
  customers: string[] | null;
  description: string | null;
  digest: boolean;
  active: boolean;
  disabledAt: string | null;
  disabledReason: string | null;
  previousSecretUntil: string | null;
  createdAt: string;
}

const TYPES = ['window.closed', 'window.revised', 'usage.threshold', 'alert.triggered', 'record.processed'];

/** Where a subscription's messages go. */
export const targetOf = ({ url, stream }: Subscription) => url ?? `stream ${stream}`;

/** What is to be filled in for a new subscription, or to change one. */
export function SubscriptionFields({ of }: { of?: Subscription }) {
  return (
    <>
      {of === undefined ? (
        <Field label="Webhook URL, or the name of a Redis stream" hint="What begins with http is a webhook.">
          <input name="target" required maxLength={2_048} placeholder="https://" />
        </Field>
      ) : (
        of.url !== null && (
          <Field label="Webhook URL">
            <input name="target" required maxLength={2_048} defaultValue={of.url} />
          </Field>
        )
      )}
      <Checks
        label="Messages"
        name="type"
        options={Object.fromEntries(TYPES.map((type) => [type, type]))}
        chosen={of?.messageTypes ?? TYPES.slice(0, 1)}
      />
      <Customers of={of?.customers} />
      <Field label="Description">
        <input name="description" maxLength={1_024} defaultValue={of?.description ?? ''} />
      </Field>
      <Checks
        label="Windows"
        name="digest"
        options={{ true: 'with the digest of their events' }}
        chosen={[String(of?.digest)]}
      />
    </>
  );
}

/** Makes a subscription of what was filled in, or changes one. */
export function saveSubscription<T>(given: FormData, id?: string): Promise<T> {
  const target = given.get('target') as string | null;
  return ask({
    method: id === undefined ? 'POST' : 'PATCH',
    path: `/v1/subscriptions${id === undefined ? '' : `/${id}`}`,
    body: {
      ...(target !== null && { [/^https?:/i.test(target) ? 'url' : 'stream']: target }),
      messageTypes: given.getAll('type'),
      customers: listOf(given.get('customers')) ?? null,
      description: String(given.get('description')) || null,
      digest: given.has('digest'),
    },
  });
}

export function SubscriptionState({ of }: { of: Subscription }) {
  const state = of.disabledReason === 'by request' ? 'paused' : 'disabled';
  return <Badge>{of.active ? 'active' : state}</Badge>;
}

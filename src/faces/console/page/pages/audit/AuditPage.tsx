import { Link } from '../../address/Link.tsx';
import { usePlace } from '../../address/place.ts';
import { useRange } from '../../address/range.ts';
import { usePages } from '../../api/usePages.ts';
import { texts } from '../../parts/columns.tsx';
import { Facts } from '../../parts/Facts.tsx';
import { Filter } from '../../parts/Filter.tsx';
import { Id } from '../../parts/Id.tsx';
import { Json } from '../../parts/Json.tsx';
import { Listing } from '../../parts/Listing.tsx';
import { Page } from '../../parts/Page.tsx';
import { RangePicker } from '../../parts/RangePicker.tsx';
import { View } from '../../parts/View.tsx';
import { When } from '../../parts/When.tsx';
import { useSession } from '../../session/session.tsx';

type Fields = Record<string, unknown>;
interface Entry {
  id: string;
  at: string;
  actor: { kind: 'key' | 'admin_key' | 'command'; keyId: string | null; tenantId: string | null };
  tenantId: string | null;
  action: string;
  target: string;
  changes: { before: Fields | null; after: Fields };
  requestId: string | null;
  clientAddress: string | null;
}

/** What there is to look for; others may be typed. */
const ACTIONS = Object.entries({
  alert_rule: 'created updated deleted',
  backfill: 'created closed reverted dropped',
  customer: 'updated',
  delivery: 'redelivered',
  events: 'voided restored amended',
  key: 'created rotated revoked',
  meter: 'created updated archived',
  portal_token: 'created revoked',
  price: 'created corrected ended',
  subscription: 'created updated disabled redelivered secret_rotated deleted',
  tenant: 'created updated',
}).flatMap(([thing, done]) => done.split(' ').map((what) => `${thing}.${what}`));

/** Who has changed what. */
export default function AuditPage() {
  const { caller, tenantId } = useSession();
  const place = usePlace();
  const range = useRange('30d');
  const question = {
    path: '/v1/audit-log',
    query: {
      tenantId: caller.platform ? tenantId : null,
      action: place.get('action'),
      ...range.params,
      limit: 100,
    },
  };
  const pages = usePages<Entry>(question);
  const chosen = pages.rows.find(({ id }) => id === place.get('entry'));
  return (
    <Page
      title="Audit"
      sub={`What was changed${tenantId === null ? '' : ` of ${tenantId}`}, and by whom.`}
      actions={<RangePicker range={range} />}
    >
      <Listing
        title="Changes"
        question={question}
        pages={pages}
        actions={<Filter label="Action" name="action" known={ACTIONS} />}
        empty={
          place.get('action') === null
            ? 'Nothing was changed in this range.'
            : 'There is no such change in this range.'
        }
        label="Changes, newest first"
        id="id"
        current={(one) => one === chosen}
        columns={[
          {
            head: 'At',
            cell: ({ at, id }) => (
              <Link to="audit" params={{ action: place.get('action'), entry: id }}>
                <When at={at} />
              </Link>
            ),
          },
          texts('Action', 'action'),
          ...(caller.platform
            ? [{ head: 'Tenant', cell: (one: Entry) => one.tenantId ?? 'the platform' }]
            : []),
          { head: 'What', cell: ({ target }) => <Id id={target} /> },
          { head: 'Change', cell: ({ changes }) => <Change {...changes} />, wide: true },
          { head: 'By', cell: ({ actor }) => <Actor {...actor} /> },
          texts('From', 'clientAddress'),
        ]}
      />
      {chosen && <Details of={chosen} />}
    </Page>
  );
}

function Actor({ kind, keyId }: Entry['actor']) {
  if (kind === 'key') return <Id id={keyId} />;
  return <>{kind === 'admin_key' ? 'ADMIN_KEY' : 'a command'}</>;
}

/** Each member that is another one than before. */
function Change({ before, after }: Entry['changes']) {
  const changed = Object.entries(after).filter(([name, value]) => text(value) !== text(before?.[name]));
  return (
    <ul class="row">
      {changed.map(([name, value]) => (
        <li>
          <span class="muted">
            {name} {before !== null && `${text(before[name])} →`}
          </span>{' '}
          {text(value)}
        </li>
      ))}
    </ul>
  );
}

function text(value: unknown): string {
  if (Array.isArray(value)) return value.map(text).join(', ') || 'none';
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}

function Details({ of: { action, target, actor, requestId, clientAddress, changes } }: { of: Entry }) {
  return (
    <View title="Change">
      <Facts
        facts={{
          Action: action,
          What: <code>{target}</code>,
          By: actor.keyId === null ? <Actor {...actor} /> : <code>{actor.keyId}</code>,
          From: clientAddress ?? undefined,
          Request: requestId === null ? undefined : <code>{requestId}</code>,
        }}
      />
      <Json label="Before and after" value={changes} />
    </View>
  );
}

import { Link } from '../../address/Link.tsx';
import { usePlace } from '../../address/place.ts';
import { useRange } from '../../address/range.ts';
import { usePages } from '../../api/usePages.ts';
import { texts } from '../../parts/columns.tsx';
import { Facts } from '../../parts/Facts.tsx';
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

/** Who has changed what. */
export default function AuditPage() {
  const { caller, tenantId } = useSession();
  const place = usePlace();
  const range = useRange('30d');
  const question = {
    path: '/v1/audit-log',
    query: { tenantId: caller.platform ? tenantId : null, ...range.params, limit: 100 },
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
        empty="Nothing was changed in this range."
        label="Changes, newest first"
        id="id"
        current={(one) => one === chosen}
        columns={[
          {
            head: 'At',
            cell: ({ at, id }) => (
              <Link to="audit" params={{ entry: id }}>
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
  if (Array.isArray(value)) return value.map(text).join(', ');
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

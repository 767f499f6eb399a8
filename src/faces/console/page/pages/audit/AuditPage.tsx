import { useRange } from '../../address/range.ts';
import { usePages } from '../../api/usePages.ts';
import { Empty } from '../../parts/Empty.tsx';
import { Page } from '../../parts/Page.tsx';
import { Pager } from '../../parts/Pager.tsx';
import { RangePicker } from '../../parts/RangePicker.tsx';
import { Table } from '../../parts/Table.tsx';
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
  const range = useRange('30d');
  const question = {
    path: '/v1/audit-log',
    query: { tenantId: caller.platform ? tenantId : null, ...range.params, limit: 100 },
  };
  const pages = usePages<Entry>(question);
  return (
    <Page
      title="Audit"
      sub={`What was changed${tenantId === null ? '' : ` of ${tenantId}`}, and by whom.`}
      actions={<RangePicker range={range} />}
    >
      <View title="Changes" question={question} answer={pages.answer}>
        {() =>
          pages.rows.length === 0 ? (
            <Empty>Nothing was changed in this range.</Empty>
          ) : (
            <>
              <Table
                label="Changes"
                rows={pages.rows}
                id={({ id }) => id}
                columns={[
                  { head: 'At', cell: ({ at }) => <When at={at} /> },
                  { head: 'Action', cell: ({ action }) => action },
                  ...(caller.platform
                    ? [{ head: 'Tenant', cell: (one: Entry) => one.tenantId ?? 'the platform' }]
                    : []),
                  { head: 'What', cell: ({ target }) => <code>{target}</code> },
                  { head: 'Change', cell: ({ changes }) => <Change {...changes} />, wide: true },
                  { head: 'By', cell: ({ actor }) => actorOf(actor) },
                  { head: 'From', cell: ({ clientAddress }) => clientAddress },
                  { head: 'Request', cell: ({ requestId }) => <code>{requestId}</code> },
                ]}
              />
              <Pager pages={pages} />
            </>
          )
        }
      </View>
    </Page>
  );
}

function actorOf({ kind, keyId }: Entry['actor']) {
  if (kind === 'key') return <code>{keyId}</code>;
  return kind === 'admin_key' ? 'ADMIN_KEY' : 'a command';
}

/** Each member that is another one than before. */
function Change({ before, after }: Entry['changes']) {
  const changed = Object.entries(after).filter(([name, value]) => text(value) !== text(before?.[name]));
  return (
    <ul>
      {changed.map(([name, value]) => (
        <li>
          {name}: {before !== null && <span class="muted">{text(before[name])} → </span>}
          {text(value)}
        </li>
      ))}
    </ul>
  );
}

const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value ?? null));

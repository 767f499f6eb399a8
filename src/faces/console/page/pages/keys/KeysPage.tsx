import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { usePlace } from '../../address/place.ts';
import { useZone } from '../../address/range.ts';
import { ask } from '../../api/request.ts';
import { usePages } from '../../api/usePages.ts';
import { fromLocal } from '../../format/times.ts';
import { Act } from '../../parts/Act.tsx';
import { Badge } from '../../parts/Badge.tsx';
import { Checks } from '../../parts/Checks.tsx';
import { moments } from '../../parts/columns.tsx';
import { Field } from '../../parts/Field.tsx';
import { Id } from '../../parts/Id.tsx';
import { Listing } from '../../parts/Listing.tsx';
import { Options } from '../../parts/Options.tsx';
import { Page } from '../../parts/Page.tsx';
import { Secret } from '../../parts/Secret.tsx';
import { Tabs } from '../../parts/Tabs.tsx';
import { useSession } from '../../session/session.tsx';
import { PortalTokens } from './PortalTokens.tsx';

interface Key {
  id: string;
  tenantId: string | null;
  scopes: string[];
  expiresAt: string | null;
  lastUsedAt: string | null;
  revokedAt: string | null;
  replacedBy: string | null;
  createdAt: string;
}

const SCOPES = {
  ingest: 'ingest: sends events',
  read: 'read: asks for numbers',
  correct: 'correct: voids and amends',
  admin: 'admin: keys, rules, subscriptions',
};
const TABS = { '': 'API keys', portal: 'Portal tokens' };
const OVERLAPS = {
  0: 'ends at once',
  3600: 'ends in an hour',
  86400: 'ends in a day',
  604800: 'ends in a week',
};

/** Keys of the API, and of customers' own pages. */
export default function KeysPage() {
  const { may, tenantId } = useSession();
  const tab = usePlace().get('tab');
  const portal = may('read') && tenantId !== null;
  const tabs = portal && <Tabs label="Kinds of keys" tabs={TABS} />;
  return portal && tab === 'portal' ? <PortalTokens {...{ tabs }} /> : <ApiKeys {...{ tabs }} />;
}

function ApiKeys({ tabs }: { tabs: ComponentChildren }) {
  const { caller, tenantId } = useSession();
  const zone = useZone();
  const question = { path: '/v1/keys', query: { tenantId: caller.platform ? tenantId : null, limit: 100 } };
  const pages = usePages<Key>(question, { everyMs: 30_000 });
  const [secret, setSecret] = useState<string | null>(null);
  const make = async (path: string, body: object) => {
    setSecret((await ask<{ key: string }>({ method: 'POST', path, body })).key);
    pages.answer.reload();
  };
  const create = (given: FormData) => {
    const end = String(given.get('expiresAt'));
    return make('/v1/keys', {
      scopes: given.getAll('scope'),
      ...(caller.platform && { tenantId: given.get('tenant') || null }),
      ...(end !== '' && { expiresAt: fromLocal(end, zone).toISOString() }),
    });
  };
  return (
    <Page
      title="Keys"
      sub="Who may send events, ask for numbers, correct and administer."
      actions={
        <Act label="New key" title="New key" action="Make the key" class="main" run={create}>
          {caller.platform && (
            <Field label="Tenant" hint="Empty: a platform key, for all tenants.">
              <input name="tenant" maxLength={256} defaultValue={tenantId ?? ''} />
            </Field>
          )}
          <Checks label="Scopes" name="scope" options={SCOPES} chosen={['ingest', 'read']} />
          <Field label={`Ends (${zone})`} hint="Empty: never by itself.">
            <input type="datetime-local" name="expiresAt" />
          </Field>
        </Act>
      }
    >
      {tabs}
      <Listing
        title={tenantId === null ? 'All keys' : `Keys of ${tenantId}`}
        question={question}
        pages={pages}
        empty="There is no key yet. Make one above, or so:"
        sample={{ method: 'POST', path: '/v1/keys', body: { tenantId, scopes: ['ingest', 'read'] } }}
        label="Keys"
        id="id"
        columns={[
          {
            head: 'Key',
            cell: ({ id }) => (
              <>
                <Id id={id} /> {id === caller.id && <Badge>yours</Badge>}
              </>
            ),
          },
          ...(caller.platform
            ? [
                {
                  head: 'Tenant',
                  cell: (key: Key) => key.tenantId ?? <Badge>platform</Badge>,
                },
              ]
            : []),
          { head: 'Scopes', cell: ({ scopes }) => scopes.join(', '), wide: true },
          { head: 'State', cell: (key) => <Badge>{stateOf(key)}</Badge> },
          moments('Last used', 'lastUsedAt'),
          moments('Ends', 'expiresAt'),
          moments('Made', 'createdAt'),
          {
            head: 'Actions',
            cell: (key) =>
              /^(valid|replaced)$/.test(stateOf(key)) && (
                <div class="row">
                  {key.replacedBy === null && (
                    <Act
                      label="Rotate"
                      title="Rotate the key"
                      class="quiet"
                      run={(given) =>
                        make(`/v1/keys/${key.id}/rotate`, {
                          overlapSeconds: Number(given.get('overlap')),
                        })
                      }
                    >
                      <p>
                        Another key of the same tenant and scopes takes its place, and is shown once. Of{' '}
                        <code>{key.id}</code>:
                      </p>
                      <Field label="The old key">
                        <select name="overlap" defaultValue="86400">
                          <Options of={OVERLAPS} />
                        </select>
                      </Field>
                    </Act>
                  )}
                  <Act
                    label="Revoke"
                    title="Revoke the key"
                    class="quiet"
                    danger
                    run={async () => {
                      await ask({ method: 'DELETE', path: `/v1/keys/${key.id}` });
                      pages.answer.reload();
                      return 'The key is revoked. Every instance refuses it within five seconds.';
                    }}
                  >
                    <p>
                      <code>{key.id}</code> is refused from now on, for good.
                      {key.id === caller.id && ' It is the key that you are signed in with.'}
                    </p>
                  </Act>
                </div>
              ),
          },
        ]}
      />
      {secret !== null && <Secret title="The new key" {...{ secret }} onClose={() => setSecret(null)} />}
    </Page>
  );
}

function stateOf({ revokedAt, expiresAt, replacedBy }: Key) {
  if (revokedAt !== null) return 'revoked';
  if (expiresAt !== null && Date.parse(expiresAt) <= Date.now()) return 'expired';
  return replacedBy === null ? 'valid' : 'replaced';
}

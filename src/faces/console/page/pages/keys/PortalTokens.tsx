import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { usePlace } from '../../address/place.ts';
import { ask } from '../../api/request.ts';
import { usePages } from '../../api/usePages.ts';
import { Act } from '../../parts/Act.tsx';
import { Badge } from '../../parts/Badge.tsx';
import { Checks } from '../../parts/Checks.tsx';
import { Choice } from '../../parts/Choice.tsx';
import { moments, texts } from '../../parts/columns.tsx';
import { Field } from '../../parts/Field.tsx';
import { Filter } from '../../parts/Filter.tsx';
import { Id } from '../../parts/Id.tsx';
import { Listing } from '../../parts/Listing.tsx';
import { Options } from '../../parts/Options.tsx';
import { Page } from '../../parts/Page.tsx';
import { Secret } from '../../parts/Secret.tsx';

interface Token {
  id: string;
  customerId: string;
  meters: string[] | null;
  usage: boolean;
  costs: boolean;
  state: string;
  expiresAt: string;
  lastUsedAt: string | null;
}

const PATH = '/v1/portal-tokens';
const READS = { usage: 'its usage', costs: 'what its AI calls cost' };
const LIVES = { 3600: 'an hour', 86400: 'a day', 604800: 'a week', 2592000: '30 days' };

/** What customers' own pages read with. */
export function PortalTokens({ tabs }: { tabs: ComponentChildren }) {
  const place = usePlace();
  const [customerId, state] = [place.get('customerId'), place.get('state')];
  const question = { path: PATH, query: { customerId, state, limit: 100 } };
  const pages = usePages<Token>(question, { everyMs: 30_000 });
  const [secret, setSecret] = useState<string | null>(null);
  const create = async (given: FormData) => {
    const meters = String(given.get('meters'))
      .split(/[\s,]+/)
      .filter(Boolean);
    const reads = given.getAll('reads');
    const body = {
      customerId: given.get('customer'),
      ...(meters.length > 0 && { meters }),
      usage: reads.includes('usage'),
      costs: reads.includes('costs'),
      expiresIn: Number(given.get('life')),
    };
    setSecret((await ask<{ token: string }>({ method: 'POST', path: PATH, body })).token);
    pages.answer.reload();
  };
  return (
    <Page
      title="Keys"
      sub="With a portal token one customer reads its own numbers, and nothing else."
      actions={
        <Act label="New token" title="New portal token" action="Make the token" class="main" run={create}>
          <Field label="Customer">
            <input name="customer" required maxLength={256} defaultValue={customerId ?? ''} />
          </Field>
          <Field label="Meters" hint="Slugs, with commas between them. Empty: all.">
            <input name="meters" />
          </Field>
          <Checks label="It reads also" name="reads" options={READS} chosen={['usage']} />
          <Field label="It lives for">
            <select name="life">
              <Options of={LIVES} />
            </select>
          </Field>
        </Act>
      }
    >
      {tabs}
      <Listing
        title="Portal tokens"
        question={question}
        pages={pages}
        actions={
          <>
            <Filter label="Customer" name="customerId" />
            <Choice
              label="State"
              name="state"
              options={{ '': 'all', active: 'active', expired: 'expired', revoked: 'revoked' }}
            />
          </>
        }
        empty="There is no such token. Make one above, or so:"
        sample={{ method: 'POST', path: PATH, body: { customerId: 'acme', expiresIn: 3_600 } }}
        label="Tokens"
        id="id"
        columns={[
          { head: 'Token', cell: ({ id }) => <Id id={id} /> },
          texts('Customer', 'customerId'),
          { head: 'Meters', cell: ({ meters }) => meters?.join(', ') ?? 'all', wide: true },
          {
            head: 'Reads',
            cell: (one) => [one.usage && 'usage', one.costs && 'costs'].filter(Boolean).join(', '),
          },
          {
            head: 'State',
            cell: ({ state }) => <Badge>{state}</Badge>,
          },
          moments('Last used', 'lastUsedAt'),
          moments('Ends', 'expiresAt'),
          {
            head: 'Actions',
            cell: ({ id, customerId, state }) =>
              state === 'active' && (
                <Act
                  label="Revoke"
                  title="Revoke the token"
                  class="quiet"
                  danger
                  run={async () => {
                    await ask({ method: 'DELETE', path: `${PATH}/${id}` });
                    pages.answer.reload();
                    return 'The token is revoked. Every instance refuses it within five seconds.';
                  }}
                >
                  <p>
                    Pages that show <b>{customerId}</b> its numbers with it show them no more, for good.
                  </p>
                </Act>
              ),
          },
        ]}
      />
      {secret !== null && <Secret title="The new token" {...{ secret }} onClose={() => setSecret(null)} />}
    </Page>
  );
}

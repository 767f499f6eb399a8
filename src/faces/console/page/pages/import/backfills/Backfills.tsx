import { Link } from '../../../address/Link.tsx';
import { usePlace } from '../../../address/place.ts';
import { useZone } from '../../../address/range.ts';
import { ask } from '../../../api/request.ts';
import { usePages } from '../../../api/usePages.ts';
import { fromLocal } from '../../../format/times.ts';
import { Act } from '../../../parts/Act.tsx';
import { Badge } from '../../../parts/Badge.tsx';
import { Choice } from '../../../parts/Choice.tsx';
import { Customers, listOf } from '../../../parts/Customers.tsx';
import { counts, moments, texts } from '../../../parts/columns.tsx';
import { Field } from '../../../parts/Field.tsx';
import { Listing } from '../../../parts/Listing.tsx';
import { Reason } from '../../../parts/Reason.tsx';
import { When } from '../../../parts/When.tsx';
import { useSession } from '../../../session/session.tsx';
import { BackfillView } from './BackfillView.tsx';
import type { Backfill } from './backfill.ts';

const DAY_MS = 86_400_000;
const PATH = '/v1/backfills';
const STATES = { '': 'all', staged: 'staged', closed: 'closed', reverted: 'reverted', dropped: 'dropped' };
const MIDNIGHT = Math.floor(Date.now() / DAY_MS) * DAY_MS;
/** Of yesterday. */
const SAMPLE = {
  from: new Date(MIDNIGHT - DAY_MS).toISOString(),
  to: new Date(MIDNIGHT).toISOString(),
  customers: ['customer-1'],
  replace: false,
  reason: 'the gateway has lost a day',
};

/** Events that are stored and looked at before they count, all at once, or not. */
export function Backfills() {
  const place = usePlace();
  const zone = useZone();
  const { may } = useSession();
  const question = { path: PATH, query: { state: place.get('state'), limit: 100 } };
  const pages = usePages<Backfill>(question, { everyMs: 15_000 });
  const chosen = place.get('backfill');
  const create = async (given: FormData) => {
    const [from, to] = ['from', 'to'].map((name) => fromLocal(String(given.get(name)), zone).toISOString());
    const body = {
      ...{ from, to, reason: given.get('reason'), replace: given.has('replace') },
      customers: listOf(given.get('customers')),
    };
    const { id } = await ask<Backfill>({ method: 'POST', path: PATH, body });
    pages.answer.reload();
    place.set({ backfill: id });
  };
  return (
    <>
      <Listing
        title="Backfills"
        question={question}
        pages={pages}
        actions={
          <>
            <Choice label="State" name="state" options={STATES} />
            {may('correct') && (
              <Act label="New backfill" title="New backfill" action="Begin" class="main" run={create}>
                <div class="grid">
                  <Field label={`From (${zone})`}>
                    <input type="datetime-local" name="from" required />
                  </Field>
                  <Field label={`To (${zone})`}>
                    <input type="datetime-local" name="to" required />
                  </Field>
                </div>
                <Customers />
                <label class="choice">
                  <input type="checkbox" name="replace" />
                  <span>
                    Replace what is there: events of that time (and of those customers) become void when it is
                    closed
                  </span>
                </label>
                <Reason />
              </Act>
            )}
          </>
        }
        empty="There is no backfill. Events that are posted to one are looked at before they count:"
        sample={{ method: 'POST', path: PATH, body: SAMPLE }}
        label="All backfills"
        id="id"
        current={({ id }) => id === chosen}
        columns={[
          {
            head: 'Of',
            cell: ({ id, from, to }) => (
              <Link to="import" params={{ tab: 'backfills', state: place.get('state'), backfill: id }}>
                <When at={from} /> – <When at={to} />
              </Link>
            ),
          },
          { head: 'State', cell: ({ state }) => <Badge>{state}</Badge> },
          { head: 'Customers', cell: ({ customers }) => customers?.join(', ') ?? 'all' },
          counts('Events', 'events'),
          { head: 'Replaces', cell: ({ replace }) => (replace ? 'yes' : 'no') },
          texts('Why', 'reason', true),
          moments('Made', 'createdAt'),
        ]}
      />
      {chosen !== null && <BackfillView key={chosen} id={chosen} onChange={pages.answer.reload} />}
    </>
  );
}

import { Link } from '../../address/Link.tsx';
import { ask } from '../../api/request.ts';
import { usePages } from '../../api/usePages.ts';
import { whole } from '../../format/numbers.ts';
import { Act } from '../../parts/Act.tsx';
import { Badge } from '../../parts/Badge.tsx';
import { moments, texts } from '../../parts/columns.tsx';
import { Field } from '../../parts/Field.tsx';
import { Listing } from '../../parts/Listing.tsx';
import { Page } from '../../parts/Page.tsx';
import { useSession } from '../../session/session.tsx';

interface Tenant {
  id: string;
  name: string;
  active: boolean;
  requestsPerSecond: number | null;
  eventsPerSecond: number | null;
  createdAt: string;
}

const QUESTION = { path: '/v1/tenants', query: { limit: 100 } };
/** Fields of a form to members of the body, and what they are called. */
const RATES = { requestsPerSecond: 'Requests per second', eventsPerSecond: 'Events per second' } as const;

/** Whose data there is, and how much each may send. */
export default function TenantsPage() {
  const { may } = useSession();
  const pages = usePages<Tenant>(QUESTION, { everyMs: 30_000 });
  const save = async (id: string, body: object) => {
    await ask({ method: 'PATCH', path: `/v1/tenants/${encodeURIComponent(id)}`, body });
    pages.answer.reload();
    return `${id} is changed. Every instance knows within five seconds.`;
  };
  return (
    <Page
      title="Tenants"
      sub="Whose data there is, and how much each may send."
      actions={
        <Act
          label="New tenant"
          title="New tenant"
          action="Create"
          class="main"
          run={async (given) => {
            const id = String(given.get('id'));
            await ask({
              path: '/v1/tenants',
              method: 'POST',
              body: { id, ...settingsOf(given), name: given.get('name') || id },
            });
            pages.answer.reload();
            return `There is a tenant ${id} now. It needs a key.`;
          }}
        >
          <Field label="Id" hint="In every event and every key of it. It stays as it is.">
            <input name="id" required maxLength={256} />
          </Field>
          <Settings />
        </Act>
      }
    >
      <Listing
        title="Tenants"
        question={QUESTION}
        pages={pages}
        empty="There is no tenant yet. Make one above, or so:"
        sample={{ method: 'POST', path: '/v1/tenants', body: { id: 'acme', name: 'Acme Inc.' } }}
        label="Tenants by id"
        id="id"
        columns={[
          {
            head: 'Tenant',
            cell: ({ id }) =>
              may('read') ? (
                <Link to="usage" params={{ tenant: id }}>
                  {id}
                </Link>
              ) : (
                id
              ),
          },
          texts('Name', 'name', true),
          {
            head: 'State',
            cell: ({ active }) => <Badge>{active ? 'active' : 'inactive'}</Badge>,
          },
          { head: 'Requests/s', num: true, cell: (one) => rate(one.requestsPerSecond) },
          { head: 'Events/s', num: true, cell: (one) => rate(one.eventsPerSecond) },
          moments('Since', 'createdAt'),
          {
            head: 'Actions',
            cell: (one) => (
              <div class="row">
                <Act
                  label="Change"
                  title={`Change ${one.id}`}
                  class="quiet"
                  run={(given) => save(one.id, settingsOf(given))}
                >
                  <Settings of={one} />
                </Act>
                {one.active ? (
                  <Act
                    label="Deactivate"
                    title={`Deactivate ${one.id}`}
                    class="quiet"
                    danger
                    run={() => save(one.id, { active: false })}
                  >
                    <p>
                      Every key of <b>{one.id}</b> is refused, by every instance within five seconds: its
                      events are not taken, and its numbers are not answered. Its data stays.
                    </p>
                  </Act>
                ) : (
                  <Act label="Activate" class="quiet" run={() => save(one.id, { active: true })} />
                )}
                <Link to="keys" params={{ tenant: one.id }}>
                  Keys
                </Link>
              </div>
            ),
          },
        ]}
      />
    </Page>
  );
}

const rate = (perSecond: number | null) =>
  perSecond === null ? 'default' : perSecond === 0 ? 'no limit' : whole(perSecond);

function Settings({ of }: { of?: Tenant }) {
  return (
    <>
      <Field label="Name">
        <input
          name="name"
          maxLength={256}
          required={of !== undefined}
          defaultValue={of?.name}
          placeholder="as its id"
        />
      </Field>
      <div class="grid">
        {Object.entries(RATES).map(([name, label]) => (
          <Field label={label} hint="Empty: the default of the service. 0: no limit.">
            <input
              type="number"
              min={0}
              max={1e9}
              step={1}
              {...{ name }}
              defaultValue={of?.[name as keyof typeof RATES]?.toString()}
            />
          </Field>
        ))}
      </div>
    </>
  );
}

function settingsOf(given: FormData) {
  const rates = Object.keys(RATES).map((name) => [
    name,
    given.get(name) === '' ? null : Number(given.get(name)),
  ]);
  return { name: given.get('name'), ...Object.fromEntries(rates) };
}

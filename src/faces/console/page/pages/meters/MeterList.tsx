import { useEffect, useState } from 'preact/hooks';
import { Link } from '../../address/Link.tsx';
import { usePlace } from '../../address/place.ts';
import { eachOf, useEach } from '../../api/useEach.ts';
import { usePages } from '../../api/usePages.ts';
import { NOTHING, share, whole } from '../../format/numbers.ts';
import { Badge } from '../../parts/Badge.tsx';
import { Choice } from '../../parts/Choice.tsx';
import { Listing } from '../../parts/Listing.tsx';
import { Page } from '../../parts/Page.tsx';
import { Sparkline } from '../../parts/Sparkline.tsx';
import { useSession } from '../../session/session.tsx';
import { described, type Meter, type MeterPoint, reasonsText } from './meter.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/** All meters, with their last 24 hours. */
export function MeterList() {
  const session = useSession();
  const { get } = usePlace();
  const admin = session.may('admin');
  const question = {
    path: '/v1/meters',
    query: { archived: get('show') === 'all' ? true : null, limit: 50 },
  };
  const [filling, setFilling] = useState(false);
  const pages = usePages<Meter>(question, { everyMs: filling ? 5_000 : 120_000 });
  const { rows, answer } = pages;
  // Hours up to now; the one that has not ended is shown as far as it has come.
  const to = Math.ceil((answer.at?.getTime() ?? Date.now()) / HOUR_MS) * HOUR_MS;
  const live = rows.filter(({ archivedAt }) => archivedAt === null);
  useEffect(() => setFilling(live.some(({ fill }) => fill.state === 'filling')), [answer.at]);
  const days = useEach<{ data: MeterPoint[] }>(
    eachOf(live, ({ slug }) => [
      slug,
      { path: `/v1/meters/${slug}/query`, query: { granularity: '1h', from: iso(to - DAY_MS), to: iso(to) } },
    ]),
    answer.at,
  );
  const ignoring = live.filter(({ slug }) => days.get(slug)?.data.some(({ ignored }) => ignored > 0));
  const whys = useEach<Meter>(
    eachOf(ignoring, ({ slug }) => [slug, { path: `/v1/meters/${slug}` }]),
    answer.at,
  );
  const sum = (slug: string, of: 'events' | 'ignored') =>
    days.get(slug)?.data.reduce((total, point) => total + point[of], 0) ?? null;
  return (
    <Page
      title="Meters"
      sub="What you count, exact from the next read on."
      actions={
        <>
          <Choice label="Show" name="show" options={{ live: 'live ones', all: 'archived too' }} />
          {admin && rows.length > 0 && <MakeLink />}
        </>
      }
    >
      <Listing
        title="Meters"
        question={question}
        pages={pages}
        empty={
          <>
            <p>There is no meter yet. One counts what you choose of your events, those of before too.</p>
            {admin && <MakeLink />}
          </>
        }
        sample={{ method: 'POST', path: '/v1/meters', body: SAMPLE }}
        label="All meters"
        id="id"
        columns={[
          {
            head: 'Meter',
            cell: ({ slug, name, archivedAt }) => (
              <>
                {archivedAt === null ? <Link to={['meters', slug]}>{name}</Link> : name}{' '}
                {name !== slug && <code class="muted">{slug}</code>}{' '}
                {archivedAt !== null && <Badge>archived</Badge>}
              </>
            ),
          },
          { head: 'Counts', cell: (meter) => described(meter), wide: true },
          {
            head: 'Last 24 h',
            cell: (meter) => <Day meter={meter} points={days.get(meter.slug)?.data} to={to} />,
          },
          { head: 'Events', num: true, cell: ({ slug }) => whole(sum(slug, 'events')) },
          {
            head: 'Ignored',
            num: true,
            cell: ({ slug }) => {
              const [events, ignored] = [sum(slug, 'events'), sum(slug, 'ignored')];
              if (!events || ignored === null) return NOTHING;
              return (
                <span class={ignored > 0 ? 'warn' : undefined} title={reasonsText(whys.get(slug)?.ignored)}>
                  {share(ignored, events)}
                </span>
              );
            },
          },
          {
            head: 'Why, since ever',
            cell: ({ slug }) => <small>{reasonsText(whys.get(slug)?.ignored)}</small>,
          },
          {
            head: 'Past',
            cell: ({ fill }) => <Badge>{fill.state === 'filling' ? 'filling' : 'summed up'}</Badge>,
          },
        ]}
      />
    </Page>
  );
}

function MakeLink() {
  return (
    <Link to="meters" params={{ new: 1 }} class="button main">
      Make a meter
    </Link>
  );
}

/** Its hours. */
function Day({ meter, points, to }: { meter: Meter; points: MeterPoint[] | undefined; to: number }) {
  if (points === undefined) return null;
  const empty =
    meter.aggregation === 'sum' || meter.aggregation === 'count' || meter.aggregation === 'uniqueCount';
  const values: (number | null)[] = Array(24).fill(empty ? 0 : null);
  for (const { windowStart, value } of points) {
    const at = 23 - Math.floor((to - 1 - Date.parse(windowStart)) / HOUR_MS);
    if (value !== null && at >= 0) values[at] = Number(value);
  }
  return <Sparkline values={values} label={`${meter.name} by hour over the last 24 hours`} />;
}

const iso = (ms: number) => new Date(ms).toISOString();

const SAMPLE = {
  slug: 'egress_gb',
  eventType: 'egress',
  aggregation: 'sum',
  value: '$.gb',
  dimensions: { region: '$.region' },
};

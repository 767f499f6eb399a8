import { usePlace } from '../../address/place.ts';
import { useZone } from '../../address/range.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { usePages } from '../../api/usePages.ts';
import { figure, latency, whole } from '../../format/numbers.ts';
import { clockOf, stamp } from '../../format/times.ts';
import { Badge } from '../../parts/Badge.tsx';
import { Copy } from '../../parts/Copy.tsx';
import { Cause, Why } from '../../parts/Correction.tsx';
import { counts, texts } from '../../parts/columns.tsx';
import { Empty } from '../../parts/Empty.tsx';
import { Facts } from '../../parts/Facts.tsx';
import { Moment } from '../../parts/Moment.tsx';
import { Page } from '../../parts/Page.tsx';
import { Pager } from '../../parts/Pager.tsx';
import { Signed } from '../../parts/Signed.tsx';
import { Stat, Stats } from '../../parts/Stat.tsx';
import { Table } from '../../parts/Table.tsx';
import { View } from '../../parts/View.tsx';
import { Changes } from './Changes.tsx';
import { type Revision, SUMS, sumsAfter, sumsOf, WINDOW_MS, type Window } from './window.ts';

interface Listed {
  data: Window[];
  asOf?: string;
}

/** One window of a customer: its sums, before and after each change, and as they were at a moment. */
export function OneWindow({ start, customerId }: { start: string; customerId: string }) {
  const place = usePlace();
  const zone = useZone();
  const end = new Date(Date.parse(start) + WINDOW_MS).toISOString();
  const range = { from: start, to: end, customerId };
  const question = { path: '/v1/windows', query: { ...range, digest: true } };
  const answer = useAnswer<Listed>(question, { everyMs: 10_000 });
  const window = answer.data?.data[0];
  const [asOf, rev] = [place.get('asOf'), place.get('rev')];
  return (
    <Page
      title="Window"
      sub={
        <>
          {stamp(start, zone)} to {clockOf(end, zone)} of{' '}
          <a href={place.link(['customers', customerId])}>{customerId}</a>
        </>
      }
      actions={
        <>
          <a href={place.link('events', { ...range, range: null })}>Its events</a>
          <a href={place.here({ window: null, of: null, rev: null, asOf: null })}>All windows</a>
        </>
      }
    >
      <View title="Now" question={question} answer={answer}>
        {() => (window ? <Now window={window} /> : <Empty>There is no such window: it has no events.</Empty>)}
      </View>
      {window && <History {...{ window, start, customerId }} />}
      {window && rev !== null && <RevisionEvents {...{ start, customerId, revision: rev }} />}
      {window && <Then {...{ window, range, asOf }} />}
      {window && asOf !== null && (
        <Changes
          title="Events that make the difference"
          range={{ params: { from: start, to: end }, zone }}
          customerId={customerId}
          since={asOf}
          onMore={() => {}}
        />
      )}
    </Page>
  );
}

function Now({ window }: { window: Window }) {
  const sums = sumsOf(window);
  const { digest, digestUnavailable, revision } = window;
  return (
    <>
      <Stats>
        <Stat label="State" value={window.state} sub={revision > 0 && `revision ${revision}`} />
        {SUMS.map(([name, label]) => (
          <Stat label={label} value={figure(sums[name])} />
        ))}
        <Stat label="Mean latency" value={latency(window.aggregations.avgLatencyMs)} />
      </Stats>
      <Facts
        facts={{
          Digest: digest ? (
            <>
              <code>{digest.sha256}</code> <Copy text={digest.sha256} />
            </>
          ) : (
            <span class="muted">none: {digestUnavailable?.replaceAll('_', ' ')}</span>
          ),
          of: digest && `${whole(digest.events)} events, ${digest.algorithm}`,
        }}
      />
    </>
  );
}

interface HistoryProps {
  window: Window;
  start: string;
  customerId: string;
}

function History({ window, start, customerId }: HistoryProps) {
  const place = usePlace();
  const zone = useZone();
  const question = {
    path: '/v1/windows/history',
    query: { customerId, windowStart: start, limit: 1_000 },
  };
  const pages = usePages<Revision>(question, { everyMs: 10_000 });
  const chosen = place.get('rev');
  return (
    <View title="Before and after" question={question} answer={pages.answer}>
      {() => {
        if (pages.rows.length === 0) {
          return (
            <Empty>
              Nothing has changed since the window {window.state === 'open' ? 'began' : 'closed'}.
            </Empty>
          );
        }
        // Sums are those of now without what came after: of a part of the revisions they are not known.
        const sums = pages.more ? [] : sumsAfter(sumsOf(window), pages.rows);
        const rows = [null, ...pages.rows];
        return (
          <>
            <Table
              label="Revisions of this window"
              rows={rows}
              id={(row) => String(row?.revision ?? 0)}
              current={(row) => row !== null && String(row.revision) === chosen}
              columns={[
                {
                  head: 'Revision',
                  cell: (row) =>
                    row === null ? (
                      'before'
                    ) : (
                      <a
                        href={place.here({ rev: row.revision })}
                        aria-label={`Events of revision ${row.revision}`}
                      >
                        {row.revision}
                      </a>
                    ),
                },
                { head: 'Cause', cell: (row) => row && <Cause cause={row.cause} /> },
                { head: 'Changed at', cell: (row) => row && stamp(row.at, zone) },
                { head: 'Events', num: true, cell: (row) => row && whole(row.events) },
                ...SUMS.map(([name, head]) => ({
                  head,
                  num: true,
                  cell: (row: Revision | null) => {
                    const value = sums[rows.indexOf(row)]?.[name] ?? null;
                    return (
                      <>
                        {row && (
                          <small>
                            <Signed value={row.difference?.[name]} />{' '}
                          </small>
                        )}
                        {figure(value)}
                      </>
                    );
                  },
                })),
                { head: 'Why', wide: true, cell: (row) => row && <Why note={row.correction} /> },
                {
                  head: 'Compare',
                  cell: (row) => row && <a href={place.here({ asOf: row.at })}>with before it</a>,
                },
              ]}
            />
            {pages.more && <Pager pages={pages} />}
          </>
        );
      }}
    </View>
  );
}

interface RevisionEventsProps {
  start: string;
  customerId: string;
  revision: string;
}

function RevisionEvents({ start, customerId, revision }: RevisionEventsProps) {
  const place = usePlace();
  const path = ['windows', start, 'customers', customerId, 'revisions', revision, 'events'];
  const question = { path: `/v1/${path.map(encodeURIComponent).join('/')}` };
  const pages = usePages<{ eventId: string; counts: boolean }>(question);
  return (
    <View title={`Events of revision ${revision}`} question={question} answer={pages.answer}>
      {() => (
        <>
          <Table
            label="Events of the revision"
            rows={pages.rows}
            id={({ eventId, counts }) => `${eventId} ${counts}`}
            columns={[
              {
                head: 'Event',
                wide: true,
                cell: ({ eventId }) => <a href={place.link('events', { event: eventId })}>{eventId}</a>,
              },
              {
                head: 'From then on',
                cell: ({ counts }) => <Badge>{counts ? 'counts' : 'counts no more'}</Badge>,
              },
            ]}
          />
          <Pager pages={pages} />
        </>
      )}
    </View>
  );
}

interface ThenProps {
  window: Window;
  range: Record<string, string>;
  asOf: string | null;
}

/** Its sums now, by endpoint and model too, beside those of a moment. */
function Then({ window, range, asOf }: ThenProps) {
  const zone = useZone();
  const question = { path: '/v1/windows', query: { ...range, asOf } };
  const answer = useAnswer<Listed>(asOf === null ? null : question);
  const then = answer.data?.data[0];
  const rows = linesOf(window, then);
  return (
    <View
      title={asOf === null ? 'Of what it is made' : 'Now, and as it was'}
      question={asOf === null ? null : question}
      answer={asOf === null ? undefined : answer}
      actions={<Moment label="As of" name="asOf" />}
    >
      {answer.data?.asOf !== undefined && (
        <p class="muted">
          As of {stamp(answer.data.asOf, zone)}:{' '}
          {then ? `${then.state}, revision ${then.revision}` : 'no events yet'}.
        </p>
      )}
      <Table
        label="Sums"
        rows={rows}
        id="name"
        columns={[
          texts('Sum', 'name', true),
          ...(answer.data === null
            ? []
            : [{ head: 'Then', num: true, cell: ({ before }: Line) => whole(before) }]),
          counts('Now', 'now'),
          ...(answer.data === null
            ? []
            : [
                {
                  head: 'Difference',
                  num: true,
                  cell: ({ now, before }: Line) => <Signed value={now - before} />,
                },
              ]),
        ]}
      />
    </View>
  );
}

interface Line {
  name: string;
  now: number;
  before: number;
}

const SHARES = [
  ['Endpoint', 'byEndpoint'],
  ['Model', 'byModel'],
] as const;

/** What can be counted of two states of a window, line by line. */
function linesOf(now: Window, then: Window | undefined): Line[] {
  const [a, b] = [now.aggregations, then?.aggregations];
  const lines: Line[] = [
    { name: 'Calls', now: a.totalCalls, before: b?.totalCalls ?? 0 },
    { name: 'Tokens', now: a.totalTokens, before: b?.totalTokens ?? 0 },
    { name: 'Input tokens', now: a.totalInputTokens, before: b?.totalInputTokens ?? 0 },
    { name: 'Output tokens', now: a.totalOutputTokens, before: b?.totalOutputTokens ?? 0 },
  ];
  for (const [title, by] of SHARES) {
    for (const name of new Set([...Object.keys(a[by]), ...Object.keys(b?.[by] ?? {})])) {
      for (const sum of ['calls', 'tokens'] as const) {
        const [one, other] = [a[by][name]?.[sum] ?? 0, b?.[by][name]?.[sum] ?? 0];
        lines.push({ name: `${title} ${name}: ${sum}`, now: one, before: other });
      }
    }
  }
  return lines;
}

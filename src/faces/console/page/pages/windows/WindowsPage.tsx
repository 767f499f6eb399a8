import { useState } from 'preact/hooks';
import { Link } from '../../address/Link.tsx';
import { oneOf } from '../../address/oneOf.ts';
import { usePlace } from '../../address/place.ts';
import { type Range, useRange } from '../../address/range.ts';
import { usePages } from '../../api/usePages.ts';
import { latency, whole } from '../../format/numbers.ts';
import { stamp } from '../../format/times.ts';
import { Choice } from '../../parts/Choice.tsx';
import { Cause, Why } from '../../parts/Correction.tsx';
import { counts, moments, texts } from '../../parts/columns.tsx';
import { Filter } from '../../parts/Filter.tsx';
import { Listing } from '../../parts/Listing.tsx';
import { Page } from '../../parts/Page.tsx';
import { RangePicker } from '../../parts/RangePicker.tsx';
import { Signed } from '../../parts/Signed.tsx';
import { SENDS_EVENT } from '../../parts/sample.ts';
import { Tabs } from '../../parts/Tabs.tsx';
import { WindowState } from '../../parts/WindowState.tsx';
import { Changes } from './Changes.tsx';
import { OneWindow } from './OneWindow.tsx';
import { Strip } from './Strip.tsx';
import { chosen, type Revision, type Window } from './window.ts';

const TABS = { list: 'Windows', revisions: 'Revisions', changes: 'Between two moments' };
const STATES = { '': 'any state', open: 'open', closed: 'closed', revised: 'revised' };

/** Windows of a range: how far they are closed, what has changed since, and why. */
export default function WindowsPage() {
  const place = usePlace();
  const [held, hold] = useState(false);
  const range = useRange('1h', held ? undefined : 60_000);
  const [start, of] = [place.get('window'), place.get('of')];
  if (start !== null && of !== null && !Number.isNaN(Date.parse(start)))
    return <OneWindow start={start} customerId={of} />;
  const customerId = place.get('customerId');
  const tab = oneOf(TABS, place.get('tab'));
  const List = { list: Windows, revisions: Revisions, changes: Changes }[tab];
  return (
    <Page
      title="Windows"
      sub="Sums of 30 seconds and a customer. Once closed, only late events and corrections change one."
      actions={<RangePicker range={range} />}
    >
      <div class="row">
        <Filter label="Customer" name="customerId" />
      </div>
      <Strip range={range} customerId={customerId} />
      <Tabs label="What to list" tabs={TABS} />
      <List key={tab} range={range} customerId={customerId} onMore={() => hold(true)} />
    </Page>
  );
}

interface ListProps {
  range: Range;
  customerId: string | null;
  /** More than the first page is shown: the range is to stand still. */
  onMore(): void;
}

function Windows({ range: { params, zone }, customerId, onMore }: ListProps) {
  const place = usePlace();
  const question = { path: '/v1/windows', query: { ...params, customerId, state: place.get('state') } };
  const pages = usePages<Window>(question);
  return (
    <Listing
      title="Windows"
      question={question}
      pages={pages}
      actions={<Choice label="Which" name="state" options={STATES} />}
      empty="No such windows in this range. An event makes one:"
      sample={SENDS_EVENT}
      label="Windows of the range"
      id={(row) => `${row.windowStart} ${row.customerId}`}
      columns={[
        {
          head: 'Window',
          cell: (row) => <a href={place.here(chosen(row))}>{stamp(row.windowStart, zone)}</a>,
        },
        texts('Customer', 'customerId', true),
        { head: 'State', cell: (row) => <WindowState {...row} /> },
        { head: 'Calls', num: true, cell: ({ aggregations: all }) => whole(all.totalCalls) },
        { head: 'Tokens', num: true, cell: ({ aggregations: all }) => whole(all.totalTokens) },
        { head: 'Input', num: true, cell: ({ aggregations: all }) => whole(all.totalInputTokens) },
        { head: 'Output', num: true, cell: ({ aggregations: all }) => whole(all.totalOutputTokens) },
        { head: 'Mean', num: true, cell: ({ aggregations: all }) => latency(all.avgLatencyMs) },
      ]}
      onMore={onMore}
    />
  );
}

function Revisions({ range: { params, zone }, customerId, onMore }: ListProps) {
  const place = usePlace();
  const question = { path: '/v1/windows/history', query: { ...params, customerId } };
  const pages = usePages<Revision>(question);
  return (
    <Listing
      title="Revisions"
      question={question}
      pages={pages}
      empty={
        <>
          No window of this range has changed since it closed. A late event, or a correction on the page{' '}
          <Link to="events">Events</Link>, changes one.
        </>
      }
      label="Revisions of the range"
      id={(row) => `${row.windowStart} ${row.customerId} ${row.revision}`}
      columns={[
        {
          head: 'Window',
          cell: (row) => (
            <a href={place.here({ ...chosen(row), rev: row.revision })}>{stamp(row.windowStart, zone)}</a>
          ),
        },
        texts('Customer', 'customerId'),
        { head: 'Revision', num: true, cell: ({ revision }) => revision },
        { head: 'Cause', cell: ({ cause }) => <Cause cause={cause} /> },
        moments('Changed at', 'at'),
        counts('Events', 'events'),
        { head: 'Calls', num: true, cell: ({ difference }) => <Signed value={difference?.calls} /> },
        {
          head: 'Tokens',
          num: true,
          cell: ({ difference }) => <Signed value={difference?.tokens} />,
        },
        { head: 'Value', num: true, cell: ({ difference }) => <Signed value={difference?.value} /> },
        { head: 'Why', wide: true, cell: ({ correction }) => <Why note={correction} /> },
      ]}
      onMore={onMore}
    />
  );
}

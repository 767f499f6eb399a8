import { usePlace } from '../../address/place.ts';
import { useRange } from '../../address/range.ts';
import { usePages } from '../../api/usePages.ts';
import { decimal, NOTHING, whole } from '../../format/numbers.ts';
import { lengthOf, stamp } from '../../format/times.ts';
import { Badge } from '../../parts/Badge.tsx';
import { Choice } from '../../parts/Choice.tsx';
import { texts } from '../../parts/columns.tsx';
import { Empty } from '../../parts/Empty.tsx';
import { Filter } from '../../parts/Filter.tsx';
import { Page } from '../../parts/Page.tsx';
import { Pager } from '../../parts/Pager.tsx';
import { RangePicker } from '../../parts/RangePicker.tsx';
import { SENDS_EVENT } from '../../parts/sample.ts';
import { type Column, Table } from '../../parts/Table.tsx';
import { View } from '../../parts/View.tsx';
import type { Event } from './event.ts';
import { OneEvent } from './OneEvent.tsx';

const STATES = { '': 'all', counted: 'that count', voided: 'that are void' };
const TAIL_MS = 2_000;

/** Events as they come in, or those looked for; one of them with its versions, and what may be done to it. */
export default function EventsPage() {
  const place = usePlace();
  const range = useRange('24h');
  const { zone, span, params } = range;
  const paused = place.get('paused') !== null;
  const live = span !== null && !paused;
  const question = {
    path: '/v1/events',
    query: {
      from: params.from,
      to: span === null ? params.to : null, // a span goes on: with what comes in
      ...Object.fromEntries(FILTERS.map((name) => [name, place.get(name)])),
    },
  };
  const pages = usePages<Event>(question, { everyMs: live ? TAIL_MS : undefined });
  const chosen = place.get('event');
  const filtered = FILTERS.some((name) => place.get(name) !== null);
  const columns: Column<Event>[] = [
    {
      head: 'Time',
      cell: ({ timestamp }) => (
        <time dateTime={timestamp} title={timestamp}>
          {stamp(timestamp, zone)}
        </time>
      ),
    },
    {
      head: 'Event',
      wide: true,
      cell: ({ eventId, timestamp, voidedAt }) => (
        <>
          <a href={place.here({ event: eventId, at: timestamp })}>{eventId}</a>{' '}
          {voidedAt && <Badge>void</Badge>}
        </>
      ),
    },
    texts('Customer', 'customerId'),
    texts('Type', 'eventType'),
    { head: 'Tokens', num: true, cell: ({ metadata }) => tokensOf(metadata) },
    {
      head: 'Value',
      num: true,
      cell: ({ value, unit }) => (
        <>
          {decimal(value)} {unit}
        </>
      ),
    },
    { head: 'Came in', num: true, cell: (event) => delayOf(event) },
  ];
  return (
    <Page title="Events" actions={<RangePicker range={range} />}>
      <div class="row">
        <Filter label="Customer" name="customerId" />
        <Filter label="Type" name="eventType" />
        <Filter label="Reference" name="reference" />
        <Choice label="Those" name="state" options={STATES} />
        <Filter label="Id" name="event" />
      </div>
      <div class={chosen === null ? undefined : 'split'}>
        {chosen !== null && (
          <div>
            <OneEvent key={chosen} eventId={chosen} at={place.get('at')} onChange={pages.answer.reload} />
          </div>
        )}
        <View
          title="Newest first"
          question={question}
          answer={pages.answer}
          actions={
            span !== null && (
              <>
                <Badge>{live ? 'live' : 'paused'}</Badge>
                <button
                  type="button"
                  onClick={() => place.set({ paused: live ? 1 : null }, { replace: true })}
                >
                  {live ? 'Pause' : 'Go on'}
                </button>
              </>
            )
          }
        >
          {() =>
            pages.rows.length === 0 ? (
              <Empty question={filtered ? undefined : SENDS_EVENT}>
                {filtered ? 'No such events in this range.' : 'No events in this range. One fills it:'}
              </Empty>
            ) : (
              <>
                <Table
                  label="Events, newest first"
                  rows={pages.rows}
                  id={({ eventId, timestamp }) => `${timestamp} ${eventId}`}
                  current={({ eventId }) => eventId === chosen}
                  columns={columns}
                />
                {live && pages.more ? (
                  <p class="pager muted">The newest {pages.rows.length}. Pause to go further back.</p>
                ) : (
                  <Pager pages={pages} />
                )}
              </>
            )
          }
        </View>
      </div>
    </Page>
  );
}

const FILTERS = ['customerId', 'eventType', 'reference', 'state'];

const tokensOf = ({ tokens }: Record<string, unknown>) =>
  typeof tokens === 'number' ? whole(tokens) : NOTHING;

/** How long after it had happened it came in. */
function delayOf({ timestamp, receivedAt }: Event): string {
  const ms = Date.parse(receivedAt) - Date.parse(timestamp);
  return ms < 0 ? `${lengthOf(-ms)} ahead` : `${lengthOf(ms)} later`;
}

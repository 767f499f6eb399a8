import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { Link } from '../../../address/Link.tsx';
import { ask, type Question } from '../../../api/request.ts';
import { useAnswer } from '../../../api/useAnswer.ts';
import { decimal, many, whole } from '../../../format/numbers.ts';
import { Act } from '../../../parts/Act.tsx';
import { Badge } from '../../../parts/Badge.tsx';
import { CurlLine } from '../../../parts/CurlLine.tsx';
import { counts, texts } from '../../../parts/columns.tsx';
import { Empty } from '../../../parts/Empty.tsx';
import { Facts } from '../../../parts/Facts.tsx';
import { Reason } from '../../../parts/Reason.tsx';
import { Table } from '../../../parts/Table.tsx';
import { View } from '../../../parts/View.tsx';
import { When } from '../../../parts/When.tsx';
import { useSession } from '../../../session/session.tsx';
import type { ShownBackfill } from './backfill.ts';

/** One backfill: what closing it would change, day by day, and what may be done to it. */
export function BackfillView({ id, onChange }: { id: string; onChange(): void }) {
  const { may } = useSession();
  const path = `/v1/backfills/${encodeURIComponent(id)}`;
  // Of a staged one it reads all that it has.
  const answer = useAnswer<ShownBackfill>({ path }, { everyMs: 60_000 });
  const [reason, setReason] = useState('');
  const act = (question: Question) => async () => {
    await ask(question);
    answer.reload();
    onChange();
  };
  const shown = answer.data;
  const close = { method: 'POST', path: `${path}/close` };
  const revert = { method: 'POST', path: `${path}/revert`, body: { reason } };
  return (
    <View
      title="Backfill"
      question={{ path }}
      answer={answer}
      actions={
        may('correct') && (
          <>
            {shown?.state === 'staged' && (
              <>
                <Act label="Close and count" title="Close the backfill" class="main" run={act(close)}>
                  <Closing of={shown} />
                  <CurlLine question={close} />
                </Act>
                <Act label="Drop" title="Drop the backfill" danger run={act({ method: 'DELETE', path })}>
                  <p>
                    What is staged in it is removed for good: {many(shown.events, 'event')}, which never
                    counted.
                  </p>
                </Act>
              </>
            )}
            {shown?.closed && shown.state === 'closed' && (
              <Act label="Revert" title="Revert the backfill" danger run={act(revert)}>
                <Scope of={shown} />
                <p>
                  What it has brought becomes void: {many(shown.closed.events, 'event')}. What it has taken
                  the place of counts again: {many(shown.closed.replaced, 'event')}. Closing it has revised{' '}
                  {many(shown.closed.windows, 'window')}.
                </p>
                <Reason onValue={setReason} />
                <CurlLine question={revert} />
              </Act>
            )}
          </>
        )
      }
    >
      {(of) => (
        <>
          <Facts
            facts={{
              State: <Badge>{of.state}</Badge>,
              Range: <Span of={of} />,
              Customers: customersOf(of),
              Replaces: of.replace ? 'what is there of that time and those customers' : 'nothing',
              Why: of.reason,
              Events: whole(of.events),
              Closed: of.closed && (
                <>
                  <When at={of.closed.at} />: {many(of.closed.events, 'event')}{' '}
                  {of.closed.events === 1 ? 'counts' : 'count'} since, {whole(of.closed.replaced)} no more,{' '}
                  {many(of.closed.duplicates, 'duplicate')}; <Revised of={of} windows={of.closed.windows} />
                </>
              ),
              Reverted: of.reverted && (
                <>
                  <When at={of.reverted.at} />: {of.reverted.reason};{' '}
                  <Revised of={of} windows={of.reverted.windows} />
                </>
              ),
              Dropped: of.droppedAt && <When at={of.droppedAt} />,
              Id: <code>{of.id}</code>,
            }}
          />
          {of.preview !== null && <Preview of={of} preview={of.preview} />}
        </>
      )}
    </View>
  );
}

const customersOf = ({ customers }: ShownBackfill) => customers?.join(', ') ?? 'all';

const Span = ({ of }: { of: ShownBackfill }) => (
  <>
    <When at={of.from} /> – <When at={of.to} />
  </>
);

/** The windows that it has changed, listed. */
const Revised = ({ of: { from, to, customers }, windows }: { of: ShownBackfill; windows: number }) => (
  <Link
    to="windows"
    params={{ tab: 'revisions', from, to, customerId: customers?.length === 1 ? customers[0] : null }}
  >
    {many(windows, 'window')} revised
  </Link>
);

/** What a dialog is about. */
const Scope = ({ of }: { of: ShownBackfill }) => (
  <Facts facts={{ Range: <Span of={of} />, Customers: customersOf(of) }} />
);

/** What closing it will do. */
function Closing({ of }: { of: ShownBackfill }) {
  const { before, after } = of.preview!;
  const change = (name: 'events' | 'tokens' | 'value') =>
    `${decimal(String(before[name]))} → ${decimal(String(after[name]))}`;
  return (
    <>
      <Scope of={of} />
      <p>
        {of.replace ? 'In its range: ' : 'On the days of its events: '}
        <b>
          {change('events')} events, {change('tokens')} tokens
          {(before.value !== '0' || after.value !== '0') && `, ${change('value')} value`}
        </b>
      </p>
      <Voids of={of} />
      <p>
        Its events count from now on, all of them at once
        {of.replace && ', and what was there of that time and those customers becomes void'}. Each window that
        changes gets a revision. It can be reverted.
      </p>
    </>
  );
}

/** Of a replacing one without events: that closing it takes away and brings nothing. */
function Voids({ of: { events, replace, preview } }: { of: ShownBackfill }) {
  const there = preview!.before.events;
  return replace && events === 0 && there > 0 ? (
    <p class="warn">
      It has no events: closing it now would void what is there, {many(there, 'event')}, and bring nothing.
    </p>
  ) : null;
}

/** How events come into one that has none. */
function Fill({ of }: { of: ShownBackfill }) {
  const { may } = useSession();
  const body = {
    eventId: 'lost-1',
    timestamp: of.from,
    customerId: of.customers?.[0] ?? 'customer-1',
    apiEndpoint: '/v1/chat',
  };
  return (
    <Empty question={{ method: 'POST', path: '/v1/events', query: { backfill: of.id }, body }}>
      {of.preview!.before.events === 0 && <p>It has no events: closing it would change nothing.</p>}
      <Voids of={of} />
      {may('ingest') && may('correct') && (
        <p>
          <Link to="import" params={{ backfill: of.id }} class="button main">
            Import a file into it
          </Link>
        </p>
      )}
      <p>Or post events to it:</p>
    </Empty>
  );
}

function Preview({ of: shown, preview: of }: { of: ShownBackfill; preview: Previewed }) {
  const empty = shown.events === 0 && <Fill of={shown} />;
  if (of.days.length === 0 && of.after.events === of.before.events) {
    return empty || <Empty>Closing it would change nothing.</Empty>;
  }
  const pair = (value: (of: Change['before']) => ComponentChildren) => (row: Change) => (
    <>
      <span class="muted">{value(row.before)} →</span> {value(row.after)}
    </>
  );
  return (
    <>
      {empty}
      <h3>What closing it would change</h3>
      {of.duplicates > 0 && (
        <p class="warn">{many(of.duplicates, 'staged event')} would not count, counted before.</p>
      )}
      <Table
        label="Before and after, by day of UTC"
        rows={[...of.days, { ...of, day: 'In all' }]}
        id="day"
        columns={[
          texts('Day (UTC)', 'day'),
          { head: 'Events', num: true, cell: pair(({ events }) => whole(events)) },
          { head: 'Tokens', num: true, cell: pair(({ tokens }) => whole(tokens)) },
          { head: 'Value', num: true, cell: pair(({ value }) => decimal(value)) },
          { head: 'Windows', num: true, cell: pair(({ windows }) => whole(windows)) },
          counts('Windows changed', 'changedWindows'),
        ]}
      />
    </>
  );
}

type Previewed = NonNullable<ShownBackfill['preview']>;
type Change = Previewed['days'][number];

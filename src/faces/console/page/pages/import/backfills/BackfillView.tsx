import type { ComponentChildren } from 'preact';
import { ask } from '../../../api/request.ts';
import { useAnswer } from '../../../api/useAnswer.ts';
import { decimal, whole } from '../../../format/numbers.ts';
import { Act } from '../../../parts/Act.tsx';
import { Badge } from '../../../parts/Badge.tsx';
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
  const act = async (method: string, to: string, body?: object) => {
    await ask({ method, path: path + to, ...(body && { body }) });
    answer.reload();
    onChange();
  };
  const state = answer.data?.state;
  return (
    <View
      title="Backfill"
      question={{ path }}
      answer={answer}
      actions={
        may('correct') && (
          <>
            {state === 'staged' && (
              <>
                <Act label="Close" title="Close the backfill" class="main" run={() => act('POST', '/close')}>
                  <p>
                    Its events count from now on, all of them at once
                    {answer.data?.replace &&
                      ', and what was there of that time and those customers becomes void'}
                    . Each window that changes gets a revision. It can be reverted.
                  </p>
                </Act>
                <Act label="Drop" title="Drop the backfill" danger run={() => act('DELETE', '')}>
                  <p>
                    Its {whole(answer.data?.events)} staged events are removed for good. They have never
                    counted.
                  </p>
                </Act>
              </>
            )}
            {state === 'closed' && (
              <Act
                label="Revert"
                title="Revert the backfill"
                danger
                run={(given) => act('POST', '/revert', { reason: given.get('reason') })}
              >
                <p>What it has brought becomes void, and what it has taken the place of counts again.</p>
                <Reason />
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
              Range: (
                <>
                  <When at={of.from} /> – <When at={of.to} />
                </>
              ),
              Customers: of.customers?.join(', ') ?? 'all',
              Why: of.reason,
              Events: whole(of.events),
              Closed: of.closed && (
                <>
                  <When at={of.closed.at} />: {whole(of.closed.events)} events count since,{' '}
                  {whole(of.closed.replaced)} no more, {whole(of.closed.duplicates)} were duplicates;{' '}
                  {whole(of.closed.windows)} windows revised
                </>
              ),
              Reverted: of.reverted && (
                <>
                  <When at={of.reverted.at} />: {of.reverted.reason}; {whole(of.reverted.windows)} windows
                  revised
                </>
              ),
              Dropped: of.droppedAt && <When at={of.droppedAt} />,
              Id: <code>{of.id}</code>,
            }}
          />
          {of.preview !== null && <Preview of={of.preview} {...{ id }} />}
        </>
      )}
    </View>
  );
}

function Preview({ of, id }: { of: NonNullable<ShownBackfill['preview']>; id: string }) {
  if (of.days.length === 0 && of.after.events === of.before.events) {
    const body = {
      eventId: 'lost-1',
      timestamp: '2026-03-01T08:00:00Z',
      customerId: 'acme',
      apiEndpoint: '/v1/chat',
    };
    return (
      <Empty question={{ method: 'POST', path: '/v1/events', query: { backfill: id }, body }}>
        Closing it would change nothing. Import a file into it, or post events to it:
      </Empty>
    );
  }
  const pair = (value: (of: Change['before']) => ComponentChildren) => (row: Change) => (
    <>
      <span class="muted">{value(row.before)} →</span> {value(row.after)}
    </>
  );
  return (
    <>
      <h3>What closing it would change</h3>
      {of.duplicates > 0 && (
        <p class="warn">
          {whole(of.duplicates)} staged events would not count: they have been counted before.
        </p>
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

type Change = NonNullable<ShownBackfill['preview']>['days'][number];

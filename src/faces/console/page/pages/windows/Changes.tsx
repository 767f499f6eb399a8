import { usePlace } from '../../address/place.ts';
import { usePages } from '../../api/usePages.ts';
import { stamp } from '../../format/times.ts';
import { Badge } from '../../parts/Badge.tsx';
import { Cause, Why } from '../../parts/Correction.tsx';
import { moments, texts } from '../../parts/columns.tsx';
import { Empty } from '../../parts/Empty.tsx';
import { Moment } from '../../parts/Moment.tsx';
import type { Note } from '../../parts/note.ts';
import { Pager } from '../../parts/Pager.tsx';
import { Signed } from '../../parts/Signed.tsx';
import { Stat, Stats } from '../../parts/Stat.tsx';
import { Table } from '../../parts/Table.tsx';
import { View } from '../../parts/View.tsx';
import { SUMS, type Sums } from './window.ts';

interface Change {
  eventId: string;
  version: number;
  timestamp: string;
  customerId: string;
  eventType: string;
  counts: boolean;
  cause: string;
  at: string;
  difference: Sums;
  correction?: Note;
}

interface Told {
  since: string;
  until: string;
  difference: Sums;
}

interface ChangesProps {
  customerId: string | null;
  onMore(): void;
  range: { params: { from: string; to: string }; zone: string };
  title?: string;
  since?: string | null;
  until?: string | null;
}

/** The events that make the difference between two moments, and what it is. */
export function Changes(props: ChangesProps) {
  const { range, customerId, onMore, title = 'What has changed between two moments' } = props;
  const place = usePlace();
  const { zone } = range;
  const chosen = { since: props.since ?? place.get('since'), until: place.get('until') };
  const question = { path: '/v1/usage/changes', query: { ...range.params, ...chosen, customerId } };
  const pages = usePages<Change>(question);
  const at = (time: string) => stamp(time, zone);
  return (
    <View
      title={title}
      question={question}
      answer={pages.answer}
      actions={
        props.since == null && (
          <>
            <Moment label="Since" name="since" />
            <Moment label="until" name="until" />
          </>
        )
      }
    >
      {(data) => {
        const { since, until, difference } = data as unknown as Told;
        return (
          <>
            <p class="muted">
              From the numbers as of {at(since)} to those as of {at(until)}. What is newer has not settled
              yet.
            </p>
            <Stats>
              {SUMS.map(([name, label]) => (
                <Stat label={label} value={<Signed value={difference[name]} />} />
              ))}
            </Stats>
            {pages.rows.length === 0 ? (
              <Empty>Nothing has changed between the two.</Empty>
            ) : (
              <>
                <Table
                  label="Events changed"
                  rows={pages.rows}
                  id={(row) => `${row.eventId} ${row.version} ${row.timestamp}`}
                  columns={[
                    {
                      head: 'Event',
                      cell: (row) => (
                        <a href={place.link('events', { event: row.eventId, at: row.timestamp })}>
                          {row.eventId}
                          {row.version > 1 && `, version ${row.version}`}
                        </a>
                      ),
                    },
                    moments('Time', 'timestamp'),
                    texts('Customer', 'customerId'),
                    { head: 'Cause', cell: ({ cause }) => <Cause cause={cause} /> },
                    {
                      head: 'Counts',
                      cell: ({ counts }) => <Badge>{counts ? 'now' : 'no more'}</Badge>,
                    },
                    moments('Since', 'at'),
                    ...SUMS.filter(([name]) => !name.endsWith('putTokens')).map(([name, head]) => ({
                      head,
                      num: true,
                      cell: (row: Change) => <Signed value={row.difference[name]} />,
                    })),
                    {
                      head: 'Why',
                      wide: true,
                      cell: ({ correction }) => <Why note={correction} />,
                    },
                  ]}
                />
                <Pager pages={pages} onMore={onMore} />
              </>
            )}
          </>
        );
      }}
    </View>
  );
}

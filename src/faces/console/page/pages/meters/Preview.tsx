import { useAnswer } from '../../api/useAnswer.ts';
import { decimal, whole } from '../../format/numbers.ts';
import { Badge } from '../../parts/Badge.tsx';
import { moments, texts } from '../../parts/columns.tsx';
import { Empty } from '../../parts/Empty.tsx';
import { Stat, Stats } from '../../parts/Stat.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { View } from '../../parts/View.tsx';
import { reasonsText, reasonText } from './meter.ts';

const EVENTS = 100;

interface Previewed {
  counted: number;
  ignored: Record<string, number>;
  value: string | null;
  results: Result[];
}

interface Result {
  eventId: string;
  timestamp: string;
  customerId: string;
  verdict: 'counted' | 'ignored';
  value?: string;
  dimensions?: Record<string, string | null>;
  reason?: string;
}

/** What a definition makes of the last events of its type; asked again every few seconds, as they come. */
export function Preview({ definition }: { definition: { dimensions?: Record<string, string> } }) {
  const question = { method: 'POST', path: '/v1/meters/preview', body: { definition, events: EVENTS } };
  const answer = useAnswer<Previewed>(question, { everyMs: 5_000 });
  const names = Object.keys(definition.dimensions ?? {});
  return (
    <View title={`Preview: the last ${EVENTS} events`} question={question} answer={answer}>
      {({ counted, ignored, value, results }) => {
        const all = Object.values(ignored).reduce((sum, n) => sum + n, 0);
        if (results.length === 0) return <Empty>There is no event of this type yet.</Empty>;
        return (
          <>
            <Stats>
              <Stat label="Value of these" value={decimal(value)} />
              <Stat label="Counted" value={whole(counted)} />
              <Stat
                label="Ignored"
                value={whole(all)}
                tone={all > 0 ? 'warn' : 'plain'}
                sub={reasonsText(ignored)}
              />
            </Stats>
            <Table
              label="The last events"
              rows={results}
              id={({ eventId, timestamp }) => `${eventId} ${timestamp}`}
              columns={[
                moments('Time', 'timestamp'),
                {
                  head: 'Verdict',
                  cell: ({ verdict, reason }) => (
                    <>
                      <Badge>{verdict}</Badge> {reason && reasonText(reason)}
                    </>
                  ),
                },
                {
                  head: 'Value',
                  num: true,
                  cell: (one) => (one.value === undefined ? '' : decimal(one.value)),
                },
                ...names.map(
                  (name): Column<Result> => ({
                    head: name,
                    cell: ({ dimensions }) => dimensions?.[name] ?? '',
                  }),
                ),
                texts('Customer', 'customerId', true),
              ]}
            />
          </>
        );
      }}
    </View>
  );
}

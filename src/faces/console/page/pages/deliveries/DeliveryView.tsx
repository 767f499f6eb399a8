import { usePlace } from '../../address/place.ts';
import { ask } from '../../api/request.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { latency } from '../../format/numbers.ts';
import { Act } from '../../parts/Act.tsx';
import { Badge } from '../../parts/Badge.tsx';
import { moments, texts } from '../../parts/columns.tsx';
import { Dialog } from '../../parts/Dialog.tsx';
import { Facts } from '../../parts/Facts.tsx';
import { Json } from '../../parts/Json.tsx';
import { Table } from '../../parts/Table.tsx';
import { View } from '../../parts/View.tsx';
import { When } from '../../parts/When.tsx';

export interface Delivery {
  id: string;
  messageId: string;
  type: string;
  customerId: string | null;
  state: 'pending' | 'delivered' | 'dead';
  attempts: number;
  nextAttemptAt: string | null;
  lastStatus: number | null;
  lastError: string | null;
  createdAt: string;
  deliveredAt: string | null;
}

interface Details extends Delivery {
  message: string;
  attemptLog: {
    at: string;
    status: number | null;
    error: string | null;
    durationMs: number;
    response: string | null;
  }[];
}

export function DeliveryState({ state }: { state: Delivery['state'] }) {
  return <Badge>{state === 'dead' ? 'dead letter' : state}</Badge>;
}

/** One delivery: what was sent, and what came back each time. */
export function DeliveryView({ path, onChange }: { path: string; onChange(): void }) {
  const place = usePlace();
  const answer = useAnswer<Details>({ path }, { everyMs: 5_000 });
  const again = async () => {
    await ask({ method: 'POST', path: `${path}/redeliver` });
    answer.reload();
    onChange();
    return 'It is tried again now.';
  };
  return (
    <View
      title="Delivery"
      question={{ path }}
      answer={answer}
      actions={
        <>
          <Act label="Redeliver" title="Redeliver this message" run={again}>
            <p>
              It is sent again, under the same message id: a receiver that has handled it knows it again. Dead
              or delivered, it has the whole schedule of attempts ahead of it.
            </p>
          </Act>
          <button type="button" class="quiet" onClick={() => place.set({ delivery: null })}>
            Close
          </button>
        </>
      }
    >
      {({ state, messageId, message, attemptLog, nextAttemptAt }) => (
        <>
          <Facts
            facts={{
              State: <DeliveryState {...{ state }} />,
              'Message id': <code>{messageId}</code>,
              'Next attempt': nextAttemptAt === null ? undefined : <When at={nextAttemptAt} />,
            }}
          />
          {attemptLog.length > 0 && (
            <Table
              label="Attempts"
              rows={attemptLog}
              id="at"
              columns={[
                moments('Attempt', 'at'),
                { head: 'Status', num: true, cell: ({ status }) => status ?? '–' },
                { head: 'Took', num: true, cell: ({ durationMs }) => latency(durationMs) },
                texts('Error', 'error'),
                { head: 'Answer', cell: ({ response }) => <code>{response}</code>, wide: true },
              ]}
            />
          )}
          <Json label="The message" value={message} />
        </>
      )}
    </View>
  );
}

export interface Outcome {
  messageId: string;
  delivered: boolean;
  status: number | null;
  error: string | null;
  response: string | null;
  durationMs: number;
}

/** What came of a test. */
export function OutcomeDialog({ outcome, onClose }: { outcome: Outcome; onClose(): void }) {
  const { delivered, status, error, response, durationMs, messageId } = outcome;
  return (
    <Dialog title={delivered ? 'The test was delivered' : 'The test was not delivered'} onClose={onClose}>
      <Facts
        facts={{
          Status: status ?? undefined,
          Error: error === null ? undefined : <span class="bad">{error}</span>,
          Answer: response ? <code>{response}</code> : undefined,
          Took: latency(durationMs),
          'Message id': <code>{messageId}</code>,
        }}
      />
      <div class="row end">
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

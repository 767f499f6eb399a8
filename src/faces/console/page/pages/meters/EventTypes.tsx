import { useState } from 'preact/hooks';
import { ask, type Problem } from '../../api/request.ts';
import { whole } from '../../format/numbers.ts';
import { Empty } from '../../parts/Empty.tsx';
import { Fault } from '../../parts/Fault.tsx';
import { useSession } from '../../session/session.tsx';

const EXAMPLES = 20;

interface EventTypesProps {
  counted: ReadonlyMap<string, number>;
  current: string;
  known: boolean;
  onPick(type: string): void;
  onSent(): void;
}

/** The types that there are, to choose one; where there are none, events to try it with. */
export function EventTypes({ counted, current, known, onPick, onSent }: EventTypesProps) {
  const session = useSession();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const body = Array.from({ length: EXAMPLES }, (_, i) => ({
    eventId: crypto.randomUUID?.() ?? `example-${Date.now()}-${i}`,
    timestamp: new Date(Date.now() - i * 60_000).toISOString(),
    customerId: `customer-${1 + (i % 3)}`,
    eventType: 'egress',
    metadata: { gb: i === 7 ? 'n/a' : (1 + i) / 4, region: i % 2 ? 'eu' : 'us' },
  }));
  const question = { method: 'POST', path: '/v1/events', body };
  const sendThem = async () => {
    if (busy) return;
    setBusy(true);
    setProblem(null);
    try {
      await ask(question);
      onSent();
      onPick('egress');
    } catch (error) {
      setProblem(error as Problem);
    }
    setBusy(false);
  };
  if (counted.size > 0) {
    return (
      <div class="row">
        {[...counted].slice(0, 30).map(([type, n]) => (
          <button type="button" aria-pressed={type === current} onClick={() => onPick(type)}>
            {type} <small>{whole(n)}</small>
          </button>
        ))}
      </div>
    );
  }
  if (!known) return null;
  return (
    <Empty question={{ ...question, body: [body[0]] }}>
      <p>
        No event has come in the last 7 days. Examples are events like any other: they count, until they are
        void.
      </p>
      {session.may('ingest') && (
        <button type="button" aria-disabled={busy} onClick={sendThem}>
          {busy ? 'Sending …' : `Send ${EXAMPLES} examples`}
        </button>
      )}
      {problem && <Fault problem={problem} />}
    </Empty>
  );
}

import { useState } from 'preact/hooks';
import { useZone } from '../../address/range.ts';
import { ask, type Question } from '../../api/request.ts';
import { parseExact, writeJson } from '../../format/json.ts';
import { negated } from '../../format/numbers.ts';
import { stamp } from '../../format/times.ts';
import { CurlLine } from '../../parts/CurlLine.tsx';
import { Confirm } from '../../parts/Dialog.tsx';
import { Field } from '../../parts/Field.tsx';
import { Reason } from '../../parts/Reason.tsx';
import { Signed } from '../../parts/Signed.tsx';
import { Differences } from './Differences.tsx';
import { asPosted, type Event, windowOf } from './event.ts';

export type Kind = 'void' | 'restore' | 'amend';

/** What has been done. */
export interface Corrected {
  kind: Kind;
  events: number;
  windows: number;
  /** When the event happened, from now on. */
  timestamp: string;
  /** The windows that have a revision more. */
  touched: { window: string; of: string }[];
}

interface CorrectProps {
  kind: Kind;
  event: Event;
  onDone(told: Corrected): void;
  onClose(): void;
}

const TEXTS: Record<Kind, [title: string, action: string, what: string]> = {
  void: [
    'Void this event',
    'Void it',
    'From the next read on it counts nowhere. It stays in the list of events, and can be restored.',
  ],
  restore: ['Restore this event', 'Restore it', 'From the next read on it counts again, as it was.'],
  amend: [
    'Amend this event',
    'Amend it',
    'From the next read on this version counts in the place of the one before, which is kept.',
  ],
};

/** Asks for a reason, says what will change, and does it. */
export function Correct({ kind, event, onDone, onClose }: CorrectProps) {
  const [reason, setReason] = useState('');
  const [text, setText] = useState(() => writeJson(asPosted(event)));
  const [title, action, what] = TEXTS[kind];
  const { eventId, timestamp } = event;
  const version = parsed(text);
  const after = kind === 'amend' ? version : event;
  const question: Question = {
    method: 'POST',
    path: `/v1/events/${kind}`,
    body:
      kind === 'amend'
        ? // As it was written: numbers keep all their digits.
          `{"reason":${JSON.stringify(reason)},"events":[${version ? writeJson(version, 0) : text}]}`
        : { reason, events: [{ eventId, timestamp }] },
  };
  const confirm = async () => {
    const told = await ask<{ events: number; windows: number }>(question);
    const now = after?.timestamp ?? timestamp;
    const touched = [[event.timestamp, event.customerId], kind === 'amend' && [now, after?.customerId]]
      .filter((one) => one !== false)
      .map(([at, of]) => ({ window: windowOf(at!), of: of! }))
      .filter((one, i, all) => all.findIndex((o) => o.window === one.window && o.of === one.of) === i);
    onDone({ kind, events: told.events, windows: told.windows, timestamp: now, touched });
  };
  return (
    <Confirm title={title} action={action} danger={kind === 'void'} onConfirm={confirm} onClose={onClose}>
      <p>{what}</p>
      {kind === 'amend' && (
        <Field
          label="The event from now on"
          error={version === null ? 'This is not JSON.' : null}
          hint="Anything but eventId may be another."
        >
          <textarea
            rows={14}
            spellcheck={false}
            value={text}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
        </Field>
      )}
      <Effect kind={kind} event={event} after={after} />
      <Reason onValue={setReason} />
      <CurlLine question={question} />
    </Confirm>
  );
}

function parsed(text: string): Event | null {
  try {
    return parseExact(text) as Event;
  } catch {
    return null;
  }
}

/** What will change. */
function Effect({ kind, event, after }: { kind: Kind; event: Event; after: Event | null }) {
  const zone = useZone();
  if (kind === 'amend') {
    return after && <Differences before={asPosted(event)} after={after} />;
  }
  const sign = kind === 'void' ? -1 : 1;
  const { tokens } = event.metadata;
  const counted = event.eventType === 'negative' ? negated(event.value ?? '0') : event.value;
  return (
    <p>
      The window {stamp(windowOf(event.timestamp), zone)} of <b>{event.customerId}</b> gets a revision more:{' '}
      <Signed value={sign} /> call
      {typeof tokens === 'number' && (
        <>
          , <Signed value={sign * tokens} /> tokens
        </>
      )}
      {counted !== undefined && (
        <>
          , <Signed value={sign < 0 ? negated(counted) : counted} /> {event.unit ?? 'value'}
        </>
      )}
      , and whatever meters, costs and counters have made of it.
    </p>
  );
}

import { useEffect, useRef, useState } from 'preact/hooks';
import { usePlace } from '../../address/place.ts';
import { useZone } from '../../address/range.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { writeJson } from '../../format/json.ts';
import { decimal } from '../../format/numbers.ts';
import { lengthOf, stamp } from '../../format/times.ts';
import { Badge } from '../../parts/Badge.tsx';
import { Copy } from '../../parts/Copy.tsx';
import { Cause, Why } from '../../parts/Correction.tsx';
import { decimals, moments, texts } from '../../parts/columns.tsx';
import { Facts } from '../../parts/Facts.tsx';
import { Json } from '../../parts/Json.tsx';
import { Table } from '../../parts/Table.tsx';
import { View } from '../../parts/View.tsx';
import { useSession } from '../../session/session.tsx';
import { Correct, type Corrected, type Kind } from './Correct.tsx';
import { Differences } from './Differences.tsx';
import { type Event, type State, type Verdict, type Versions, windowOf } from './event.ts';

const STATES: Record<State, string> = { counted: 'counts', voided: 'void', superseded: 'replaced' };
const ACTIONS: Record<Kind, string> = { amend: 'Amend …', void: 'Void …', restore: 'Restore …' };

interface OneEventProps {
  eventId: string;
  /** Its time as it is listed; null: it is found around the moment at which it came in. */
  at: string | null;
  /** It was corrected. */
  onChange(): void;
}

/** An event: what it is, what meters make of it, its versions, and what was and may be done to it. */
export function OneEvent({ eventId, at, onChange }: OneEventProps) {
  const place = usePlace();
  const session = useSession();
  const box = useRef<HTMLElement>(null);
  const [asked, setAsked] = useState<Kind | null>(null);
  const [done, setDone] = useState<Corrected | null>(null);
  const question = {
    path: `/v1/events/${encodeURIComponent(eventId)}`,
    query: { timestamp: at },
    exact: true,
  };
  const answer = useAnswer<Versions>(question);
  useEffect(() => box.current?.focus(), []);
  const last = answer.data && lastOf(answer.data);
  const kinds: Kind[] = last?.state === 'counted' ? ['amend', 'void'] : ['restore'];
  const corrected = (told: Corrected) => {
    setDone(told);
    // An amended one may have another time now.
    if (told.timestamp !== at) place.set({ at: told.timestamp }, { replace: true });
    answer.reload();
    onChange();
  };
  return (
    <section ref={box} tabIndex={-1} class="things" aria-label={`Event ${eventId}`}>
      <View
        title={eventId}
        question={question}
        answer={answer}
        actions={
          <>
            {last && <Badge>{STATES[last.state]}</Badge>}
            {last &&
              session.may('correct') &&
              kinds.map((kind) => (
                <button type="button" onClick={() => setAsked(kind)}>
                  {ACTIONS[kind]}
                </button>
              ))}
            <a href={place.here({ event: null, at: null })}>Close</a>
          </>
        }
      >
        {({ versions, corrections }) => {
          const { event } = lastOf({ versions });
          return (
            <>
              {done && <Done told={done} />}
              <EventFacts event={event} />
              {versions.length > 1 && <VersionTable versions={versions} />}
              {corrections.length > 0 && (
                <Table
                  label="What was done to it"
                  rows={corrections}
                  id="id"
                  columns={[
                    moments('At', 'at'),
                    { head: 'What', cell: ({ kind }) => <Cause cause={kind} /> },
                    { head: 'Why', wide: true, cell: (note) => <Why note={note} /> },
                  ]}
                />
              )}
              <details open>
                <summary>JSON</summary>
                <Copy text={writeJson(event)} label="Copy JSON" />
                <Json label="The event as JSON" value={event} />
              </details>
            </>
          );
        }}
      </View>
      {last?.state === 'counted' && <Meters key={last.version} event={last.event} />}
      {asked && last && (
        <Correct kind={asked} event={last.event} onDone={corrected} onClose={() => setAsked(null)} />
      )}
    </section>
  );
}

/** The version that counts or is void: of an event that has come back there may be later ones. */
function lastOf({ versions }: Pick<Versions, 'versions'>) {
  return versions.findLast(({ state }) => state !== 'superseded') ?? versions.at(-1)!;
}

function EventFacts({ event }: { event: Event }) {
  const place = usePlace();
  const zone = useZone();
  const delay = Date.parse(event.receivedAt) - Date.parse(event.timestamp);
  const start = windowOf(event.timestamp);
  const of = event.customerId;
  const find = (name: string, value: string | undefined) =>
    value !== undefined && <a href={place.here({ [name]: value })}>{value}</a>;
  return (
    <Facts
      facts={{
        Time: <time dateTime={event.timestamp}>{stamp(event.timestamp, zone)}</time>,
        'Came in': `${stamp(event.receivedAt, zone)}, ${lengthOf(Math.abs(delay))} ${delay < 0 ? 'ahead' : 'after'}`,
        Customer: <a href={place.link(['customers', of])}>{of}</a>,
        Window: <a href={place.link('windows', { window: start, of })}>{stamp(start, zone)}</a>,
        Type: find('eventType', event.eventType),
        Endpoint: event.apiEndpoint,
        Reference: find('reference', event.reference),
        Value: event.value !== undefined && `${decimal(event.value)} ${event.unit ?? ''}`,
      }}
    />
  );
}

/** What each version has that the one before had not. */
function VersionTable({ versions }: Pick<Versions, 'versions'>) {
  return (
    <Table
      label="Versions"
      rows={versions}
      id={({ version }) => String(version)}
      columns={[
        texts('Version', 'version'),
        { head: 'State', cell: ({ state }) => <Badge>{STATES[state]}</Badge> },
        {
          head: 'What is different',
          wide: true,
          cell: ({ event, version }) => {
            const before = versions.find((other) => other.version === version - 1);
            if (!before) return <small>as it was posted</small>;
            return <Differences before={before.event} after={event} />;
          },
        },
      ]}
    />
  );
}

function Done({ told: { kind, events, windows, touched } }: { told: Corrected }) {
  const place = usePlace();
  const zone = useZone();
  return (
    <p class="notice" role="status">
      Done: {events}{' '}
      {{ void: 'event counts no more', restore: 'event counts again', amend: 'event amended' }[kind]},{' '}
      {windows} {windows === 1 ? 'window has' : 'windows have'} a revision more:{' '}
      {touched.map(({ window, of }, i) => (
        <>
          {i > 0 && ', '}
          <a href={place.link('windows', { window, of })}>
            {stamp(window, zone)} of {of}
          </a>
        </>
      ))}
    </p>
  );
}

/** What the event is to each meter of its type. */
function Meters({ event }: { event: Event }) {
  const ms = Date.parse(event.timestamp);
  const [from, to] = [ms, ms + 1].map((at) => new Date(at).toISOString());
  const { customerId, eventType } = event;
  const question = {
    path: '/v1/events',
    query: { from, to, customerId, eventType, state: 'counted', meters: true, limit: 1_000 },
  };
  const answer = useAnswer<{ data: Event[] }>(question);
  return (
    <View title="What meters make of it" question={question} answer={answer}>
      {({ data }) => {
        const same = (one: Event) => one.eventId === event.eventId && one.timestamp === event.timestamp;
        const meters = data.find(same)?.meters ?? [];
        if (meters.length === 0) return <p class="muted">No meter is of its type.</p>;
        return (
          <Table
            label="Meters"
            rows={meters}
            id="slug"
            columns={[
              texts('Meter', 'slug'),
              { head: 'Verdict', cell: (one) => <Told verdict={one} /> },
              decimals('Value', 'value'),
              {
                head: 'Dimensions',
                wide: true,
                cell: ({ dimensions = {} }) =>
                  Object.entries(dimensions)
                    .map(([name, value]) => `${name} = ${value ?? 'null'}`)
                    .join(', '),
              },
            ]}
          />
        );
      }}
    </View>
  );
}

const Told = ({ verdict: { verdict, reason } }: { verdict: Verdict }) => (
  <>
    <Badge>{verdict}</Badge>
    {reason && <small> {reason.replaceAll('_', ' ')}</small>}
  </>
);

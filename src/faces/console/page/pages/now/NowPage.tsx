import { useEffect, useState } from 'preact/hooks';
import type { Overview } from '../../../../live/overview.ts';
import { useZone } from '../../address/range.ts';
import type { Question } from '../../api/request.ts';
import { type StreamEvent, useStream } from '../../api/stream.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { latency, NOTHING, short, whole } from '../../format/numbers.ts';
import { clockOf, lengthOf, stamp } from '../../format/times.ts';
import { Badge } from '../../parts/Badge.tsx';
import { Empty } from '../../parts/Empty.tsx';
import { Fault } from '../../parts/Fault.tsx';
import { LineChart } from '../../parts/LineChart.tsx';
import { Page } from '../../parts/Page.tsx';
import { Sparkline } from '../../parts/Sparkline.tsx';
import { Stat, Stats } from '../../parts/Stat.tsx';
import { SENDS_EVENT } from '../../parts/sample.ts';
import { useNow } from '../../parts/useNow.ts';
import { View } from '../../parts/View.tsx';
import { useSession } from '../../session/session.tsx';
import { ratesOf, withSamples } from './samples.ts';

const OVERVIEW: Question = { path: '/v1/live/overview' };
const POLL_MS = 5_000;
/** More are not counted. */
const MOST = 10_000;

/** How things stand, as it moves: the stream, and while there is none, the same by asking. */
export default function NowPage() {
  const session = useSession();
  const [samples, setSamples] = useState<Overview[]>([]);
  const [at, setAt] = useState<Date | null>(null);
  const add = (more: Overview[]) => {
    setSamples((all) => withSamples(all, more));
    setAt(new Date());
  };
  const heard = ({ event, data }: StreamEvent) => {
    if (event === 'history') add(JSON.parse(data).samples);
    else if (event === 'sample') add([JSON.parse(data)]);
  };
  const shown = session.tenantId !== null || session.may('admin');
  const { state, problem } = useStream(shown ? { path: '/v1/live/stream' } : null, heard);
  const polled = useAnswer<Overview>(state === 'lost' ? OVERVIEW : null, { everyMs: POLL_MS });
  useEffect(() => {
    if (polled.data) add([polled.data]);
  }, [polled.data]);
  const now = samples.at(-1);

  if (!shown) {
    return (
      <Page title="Now">
        <Empty>Choose a tenant above: this key does not see all of them together.</Empty>
      </Page>
    );
  }
  return (
    <Page
      title="Now"
      sub={session.tenantId === null ? 'All tenants together' : `Tenant ${session.tenantId}`}
      actions={
        <span role="status">
          <Badge>
            {state === 'open'
              ? 'live'
              : state === 'connecting'
                ? 'connecting …'
                : polled.data && !polled.problem
                  ? `asked every ${POLL_MS / 1_000} s`
                  : 'connecting again …'}
          </Badge>
        </span>
      }
    >
      {state === 'lost' && (polled.problem ?? problem) && (
        <Fault title="The stream has broken off" problem={(polled.problem ?? problem)!} />
      )}
      {now === undefined ? (
        state !== 'lost' && <p class="wait">Loading …</p>
      ) : (
        <>
          <Incoming samples={samples} at={at} />
          <Standing now={now} at={at} />
        </>
      )}
    </Page>
  );
}

function Incoming({ samples, at }: { samples: Overview[]; at: Date | null }) {
  const zone = useZone();
  const { instance, tenantId } = samples.at(-1)!;
  const [accepted, duplicates, rejected] = (['accepted', 'duplicates', 'rejected'] as const).map((count) =>
    ratesOf(samples, count),
  );
  const latencies = (of: 'p50' | 'p99') => samples.map((one) => one.instance.ingestMs?.[of] ?? null);
  const { eventsPerSecond, ingestMs, queueRows } = instance;
  const rate = eventsPerSecond ?? accepted!.at(-1) ?? null;
  return (
    <View title="Coming in · this instance" question={OVERVIEW} at={at}>
      <Stats>
        <Moving label="Events a second" value={short(rate)} of={accepted!} />
        <Stat label="Accepted" value={whole(instance.accepted)} />
        <Moving label="Duplicates" value={whole(instance.duplicates)} of={duplicates!} />
        <Moving
          label="Rejected"
          value={whole(instance.rejected)}
          of={rejected!}
          tone={rejected!.at(-1) ? 'bad' : undefined}
        />
        <Moving label="Ingest p50" value={latency(ingestMs?.p50)} of={latencies('p50')} />
        <Moving label="Ingest p99" value={latency(ingestMs?.p99)} of={latencies('p99')} />
        <Moving
          label="Queue"
          value={whole(queueRows)}
          of={samples.map((one) => one.instance.queueRows)}
          max={100}
        />
      </Stats>
      <p class="muted">
        Instance <code>{instance.id}</code>, sums since {stamp(instance.since, zone)}.
      </p>
      {instance.accepted === 0 && tenantId !== null && (
        <Empty question={SENDS_EVENT}>Nothing has come in here yet. An event moves it:</Empty>
      )}
      <LineChart
        label="Events a second"
        times={samples.map((one) => Date.parse(one.at))}
        zone={zone}
        height={180}
        series={[
          { label: 'Accepted/s', values: accepted! },
          { label: 'Duplicates/s', values: duplicates! },
          { label: 'Rejected/s', values: rejected! },
        ]}
      />
    </View>
  );
}

interface MovingProps {
  label: string;
  value: string;
  of: (number | null)[];
  max?: number;
  tone?: 'bad' | undefined;
}

/** A figure, and how it was of late. */
const Moving = ({ label, value, of, max, tone }: MovingProps) => (
  <Stat {...{ label, value, tone }}>
    <Sparkline values={of} label={`${label}, of late`} {...(max !== undefined && { max })} />
  </Stat>
);

function Standing({ now: { database }, at }: { now: Overview; at: Date | null }) {
  const zone = useZone();
  const present = useNow();
  const { available, asOf, closedUntil, lateWindows, messagesWaiting, deliveriesPending, deadLetters } =
    database;
  return (
    <View
      title="In the database · all instances"
      question={OVERVIEW}
      at={asOf === null ? at : new Date(asOf)}
    >
      {!available && <p class="bad">The database does not answer: these are its last figures.</p>}
      <Stats>
        <Stat
          label="Closed through"
          value={closedUntil === null ? NOTHING : clockOf(closedUntil, zone)}
          sub={closedUntil !== null && `${lengthOf(present - Date.parse(closedUntil))} ago`}
        />
        <Stat label="Late windows" value={most(lateWindows)} tone={lateWindows ? 'warn' : undefined} />
        <Stat label="Messages waiting" value={most(messagesWaiting)} />
        <Stat label="Webhook backlog" value={most(deliveriesPending)} />
        <Stat label="Dead letters" value={most(deadLetters)} tone={deadLetters ? 'bad' : undefined} />
      </Stats>
    </View>
  );
}

const most = (n: number | null) => (n !== null && n >= MOST ? `${whole(n)} or more` : whole(n));

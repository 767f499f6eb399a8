import { Link } from '../../address/Link.tsx';
import { useZone } from '../../address/range.ts';
import { many, whole } from '../../format/numbers.ts';
import { stamp } from '../../format/times.ts';
import { CodeLine } from '../../parts/CodeLine.tsx';
import { texts } from '../../parts/columns.tsx';
import { save } from '../../parts/Download.tsx';
import { Fault } from '../../parts/Fault.tsx';
import { Stat, Stats } from '../../parts/Stat.tsx';
import { Table } from '../../parts/Table.tsx';
import { View } from '../../parts/View.tsx';
import { useSession } from '../../session/session.tsx';
import { commandOf, type Mapping } from './mapping.ts';
import type { Opened } from './opened.ts';
import { type Progress, type Run, rejectedCsv, SHOWN } from './run.ts';

interface OutcomeProps {
  progress: Progress;
  run: Run;
  opened: Opened;
  mapping: Mapping;
}

const HORIZON_DAYS = 30;
/** Signs of a rejected value that are shown. */
const CELL = 60;
const STATES: Record<Progress['state'], string> = {
  running: 'Reading …',
  paused: 'Paused',
  waiting: 'The service is busy or away; it is tried again',
  done: 'Done',
  cancelled: 'Cancelled: what was sent is stored, and sending it again counts nothing twice',
  failed: 'Stopped',
};

/** How far it is, what came of it, and what was rejected and why. */
export function Outcome({ progress, run, opened: { file, delimiter }, mapping }: OutcomeProps) {
  const zone = useZone();
  const { tenantId } = useSession();
  const { state, dry, backfill, rejected, faults, first, last, unfinished, tooOld, problem } = progress;
  const ended = ['done', 'cancelled', 'failed'].includes(state);
  // What is staged may be as old as events are kept.
  const old =
    backfill === null &&
    (tooOld > 0 || (first !== null && first / 1_000 < Date.now() - HORIZON_DAYS * 86_400_000));
  const time = (micros: number | null) => (micros === null ? '–' : stamp(micros / 1_000, zone));
  return (
    <View
      title={dry ? 'Dry run' : 'Import'}
      actions={
        !ended && (
          <>
            {state === 'running' ? (
              <button type="button" onClick={() => run.pause()}>
                Pause
              </button>
            ) : (
              <button type="button" class="main" onClick={() => run.resume()}>
                Go on
              </button>
            )}
            <button type="button" onClick={() => run.cancel()}>
              Cancel
            </button>
          </>
        )
      }
    >
      <p role="status">
        {STATES[state]}
        {state === 'done' && (dry ? ': nothing was sent.' : '.')}
      </p>
      {!ended && <progress aria-label="Of the file" value={progress.bytes} max={file.size} />}
      {problem && (
        <Fault title={state === 'failed' ? 'It has stopped here' : 'The last try'} {...{ problem }} />
      )}
      <Stats>
        <Stat label="Rows read" value={whole(progress.rows)} />
        {dry ? (
          <Stat label="Are events" value={whole(progress.good)} />
        ) : (
          <>
            <Stat label={backfill === null ? 'Accepted' : 'Staged'} value={whole(progress.accepted)} />
            <Stat
              label="Duplicates"
              value={whole(progress.duplicates)}
              sub={backfill === null ? 'known, and not counted again' : 'staged before'}
            />
          </>
        )}
        <Stat label="Rejected" value={whole(rejected)} tone={rejected > 0 ? 'bad' : 'plain'} />
        <Stat label="Earliest" value={<small>{time(first)}</small>} />
        <Stat label="Latest" value={<small>{time(last)}</small>} />
      </Stats>
      {backfill !== null && !dry && ended && (
        <p>
          What is staged does not count yet:{' '}
          <Link to="import" params={{ tab: 'backfills', backfill }}>
            look at the backfill, and close it
          </Link>
          .
        </p>
      )}
      {unfinished !== null && (
        <p class="warn">
          The row of line {unfinished} is left out: the file ends before its line does. Say above that the
          file is whole to have it read.
        </p>
      )}
      {old && (
        <div class="note">
          <p class="warn">
            {tooOld > 0
              ? `${whole(tooOld)} ${tooOld === 1 ? 'row is' : 'rows are'} older than the service accepts`
              : `Some rows are older than ${HORIZON_DAYS} days, which the service refuses unless it is set otherwise`}
            . Where the database is, this reads them, of any age, under the same ids:
          </p>
          <CodeLine line={commandOf(mapping, file.name, tenantId!, delimiter)} label="command" />
        </div>
      )}
      {faults.length > 0 && (
        <>
          <div class="row">
            <h3>Rejected rows</h3>
            <button
              type="button"
              disabled={!ended}
              onClick={() =>
                save(`rejected-${file.name.replace(/\.gz$/, '')}`, rejectedCsv(progress, mapping.header))
              }
            >
              CSV of all
            </button>
            <small>
              {faults.length === SHOWN && 'The first '}
              {many(faults.length, 'fault')}:
            </small>
          </div>
          <Table
            label="Rejected rows"
            rows={faults}
            id={({ line, pointer, code }) => `${line} ${pointer} ${code}`}
            columns={[
              { head: 'Line', num: true, cell: ({ line }) => line },
              { head: 'Field', cell: ({ pointer }) => <code>{pointer}</code> },
              { head: 'Code', cell: ({ code }) => <code>{code}</code> },
              { head: 'Value', cell: ({ cell }) => cell.slice(0, CELL) },
              texts('Why', 'message', true),
            ]}
          />
        </>
      )}
      {ended && (
        <small>
          Ids of rows begin with <code>{progress.prefix}</code>: as --id-prefix of{' '}
          <code>tidemark import</code> has it.
        </small>
      )}
    </View>
  );
}

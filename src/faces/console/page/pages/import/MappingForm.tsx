import { useState } from 'preact/hooks';
import { usePlace } from '../../address/place.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { minuteOf } from '../../format/times.ts';
import { Field } from '../../parts/Field.tsx';
import { Options } from '../../parts/Options.tsx';
import { Table } from '../../parts/Table.tsx';
import { View } from '../../parts/View.tsx';
import type { Backfill } from './backfills/backfill.ts';
import { CONSTANTS, faultOf, KEPT, type Mapping, TARGETS } from './mapping.ts';
import type { Opened } from './opened.ts';
import type { Job, Progress } from './run.ts';
import { TIME_FORMATS, type TimeFormat } from './times.ts';

interface MappingFormProps {
  opened: Opened;
  mapping: Mapping;
  busy: boolean;
  /** Whether events may be staged for a backfill. */
  staging: boolean;
  progress: Progress | null;
  onChange(mapping: Mapping): void;
  onStart(job: Pick<Job, 'dry' | 'whole' | 'backfill'>): void;
}

const ROWS = 'for all rows that have none of their own';

/** What each column is. */
export function MappingForm({
  opened,
  mapping,
  busy,
  staging,
  progress,
  onChange,
  onStart,
}: MappingFormProps) {
  const [whole, setWhole] = useState(false);
  const place = usePlace();
  const backfill = place.get('backfill') || null;
  const { header, columns, constants, timeFormat } = mapping;
  const fault = faultOf(mapping);
  const set = (i: number, value: string) => onChange({ ...mapping, columns: columns.with(i, value) });
  const start = (dry: boolean) => onStart({ dry, whole, backfill });
  return (
    <View title="What the columns are">
      <Table
        label="Columns"
        rows={header.map((_, i) => i)}
        id={String}
        columns={[
          { head: 'Column', cell: (i) => header[i] || '(no name)' },
          {
            head: 'Is',
            cell: (i) => (
              <select
                aria-label={`What ${header[i]} is`}
                value={columns[i]}
                disabled={busy}
                onChange={({ currentTarget }) => set(i, currentTarget.value)}
              >
                <option value="">left out</option>
                <option value={KEPT}>kept in the metadata</option>
                {TARGETS.map(({ name, label }) => (
                  <option value={name}>{label}</option>
                ))}
              </select>
            ),
          },
          {
            head: 'Such as',
            cell: (i) => opened.sample.map(({ values }) => values![i]).join(' · '),
            wide: true,
          },
        ]}
      />
      <fieldset class="grid">
        <legend>The same {ROWS}</legend>
        {TARGETS.filter(({ name }) => name in CONSTANTS).map(({ name, label, max }) => (
          <Field {...{ label }}>
            <input
              maxLength={max}
              value={constants[name] ?? ''}
              disabled={busy}
              placeholder={name === 'eventType' ? 'api.request' : ''}
              onInput={({ currentTarget }) =>
                onChange({ ...mapping, constants: { ...constants, [name]: currentTarget.value } })
              }
            />
          </Field>
        ))}
      </fieldset>
      <div class="grid">
        <Field label="Times are">
          <select
            value={timeFormat}
            disabled={busy}
            onChange={({ currentTarget }) =>
              onChange({ ...mapping, timeFormat: currentTarget.value as TimeFormat })
            }
          >
            <Options of={TIME_FORMATS} />
          </select>
        </Field>
        {(staging || backfill !== null) && (
          <Staging
            value={backfill}
            disabled={busy}
            onChange={(id) => place.set({ backfill: id }, { replace: true })}
          />
        )}
        <label class="choice">
          <input
            type="checkbox"
            checked={whole}
            disabled={busy}
            onChange={({ currentTarget }) => setWhole(currentTarget.checked)}
          />
          <span>The file is whole, also where its last line has no end</span>
        </label>
      </div>
      {fault !== null && (
        <p class="bad" role="status">
          {fault}
        </p>
      )}
      <div class="row">
        <button
          type="button"
          class={progress ? '' : 'main'}
          disabled={busy || fault !== null}
          onClick={() => start(true)}
        >
          Dry run
        </button>
        <button
          type="button"
          class={progress ? 'main' : ''}
          disabled={busy || fault !== null}
          onClick={() => start(false)}
        >
          Import
        </button>
        <small>A dry run reads all rows and sends none.</small>
      </div>
    </View>
  );
}

/** Whether the events count, or are staged for a backfill. One that is not staged any more is shown too: the service refuses it. */
function Staging(props: { value: string | null; disabled: boolean; onChange(id: string | null): void }) {
  const { data } = useAnswer<{ data: Backfill[] }>({
    path: '/v1/backfills',
    query: { state: 'staged', limit: 100 },
  });
  const staged = data?.data ?? [];
  const unknown = props.value !== null && !staged.some(({ id }) => id === props.value);
  return (
    <Field
      label="The events"
      hint="In a backfill they count once it is closed, and may be as old as events are kept."
    >
      <select
        value={props.value ?? ''}
        disabled={props.disabled}
        onChange={({ currentTarget }) => props.onChange(currentTarget.value || null)}
      >
        <option value="">count at once</option>
        {unknown && <option value={props.value!}>are staged for the backfill {props.value}</option>}
        {staged.map(({ id, from, reason }) => (
          <option value={id}>
            are staged for the backfill from {minuteOf(from, 'UTC')} UTC: {reason}
          </option>
        ))}
      </select>
    </Field>
  );
}

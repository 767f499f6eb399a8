import type { ComponentChildren } from 'preact';
import { Options } from '../../parts/Options.tsx';
import type { Condition, Named } from './draft.ts';
import { OPERATORS } from './meter.ts';

interface RowsProps<Row> {
  rows: Row[];
  onRows(rows: Row[]): void;
}

/** What a meter is told apart by. */
export function Dimensions({ rows, onRows }: RowsProps<Named>) {
  return (
    <Rows legend="Dimensions" add="Add a dimension" blank={{ name: '', path: '' }} {...{ rows, onRows }}>
      {(row, set) => (
        <>
          <input
            aria-label="Dimension"
            placeholder="region"
            value={row.name}
            onInput={({ currentTarget }) => set({ ...row, name: currentTarget.value })}
          />
          <Path label="Path of the dimension" value={row.path} onValue={(path) => set({ ...row, path })} />
        </>
      )}
    </Rows>
  );
}

/** Which events a meter counts. */
export function Conditions({ rows, onRows }: RowsProps<Condition>) {
  const blank = { path: '', operator: 'equals', value: '' };
  return (
    <Rows legend="Only events with" add="Add a condition" {...{ blank, rows, onRows }}>
      {(row, set) => (
        <>
          <Path label="Path of the condition" value={row.path} onValue={(path) => set({ ...row, path })} />
          <select
            aria-label="Operator"
            value={row.operator}
            onChange={({ currentTarget }) => set({ ...row, operator: currentTarget.value })}
          >
            <Options of={OPERATORS} />
          </select>
          <input
            aria-label="Compared with"
            placeholder={{ in: 'a, b', exists: 'true or false' }[row.operator] ?? 'value'}
            value={row.value}
            onInput={({ currentTarget }) => set({ ...row, value: currentTarget.value })}
          />
        </>
      )}
    </Rows>
  );
}

/** Rows of a form, to which some can be added, and from which each can be taken away. */
function Rows<Row>({
  legend,
  add,
  blank,
  rows,
  onRows,
  children,
}: RowsProps<Row> & {
  legend: string;
  add: string;
  blank: Row;
  children(row: Row, set: (row: Row) => void): ComponentChildren;
}) {
  return (
    <fieldset>
      <legend>{legend}</legend>
      {rows.map((row, i) => (
        <div class="line">
          {children(row, (changed) => onRows(rows.with(i, changed)))}
          <button
            type="button"
            class="quiet"
            aria-label={`Remove ${i + 1} of ${legend}`}
            onClick={() => onRows(rows.filter((_, j) => j !== i))}
          >
            Remove
          </button>
        </div>
      ))}
      <button type="button" class="quiet" onClick={() => onRows([...rows, blank])}>
        {add}
      </button>
    </fieldset>
  );
}

/** A place in events. */
export function Path({
  label,
  value,
  required,
  onValue,
}: {
  label?: string;
  value: string;
  required?: boolean;
  onValue(value: string): void;
}) {
  return (
    <input
      aria-label={label}
      required={required}
      list="paths"
      autocomplete="off"
      spellcheck={false}
      placeholder="$.gb"
      value={value}
      onInput={({ currentTarget }) => onValue(currentTarget.value)}
    />
  );
}

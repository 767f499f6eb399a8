import type { ComponentChildren } from 'preact';
import type { Question } from '../api/request.ts';
import { whole } from '../format/numbers.ts';
import { Empty } from './Empty.tsx';

export interface Column<T> {
  head: ComponentChildren;
  cell(row: T): ComponentChildren;
  /** A number: aligned to the right. */
  num?: boolean;
  /** Takes what room is left. */
  wide?: boolean;
}

export interface TableProps<T> {
  /** What it is a table of, for who cannot see. */
  label: string;
  columns: Column<NoInfer<T>>[];
  rows: readonly T[];
  /** What tells a row from the others: a member of it, or made of it. */
  id: keyof T | ((row: T) => string);
  /** The row that the address names. */
  current?: (row: T) => boolean;
  /** Sums: a cell a column. */
  foot?: ComponentChildren[] | undefined;
  /** Whether more than so many rows are left out, which is said. */
  capped?: boolean;
  /** What is said where there is no row, and what makes one. */
  empty?: ComponentChildren;
  sample?: Question | undefined;
}

const MOST = 500;

/** Rows with heads, which scroll in their own region where they are wide. The first column is the row's head. */
export function Table<T>({ label, columns, rows, id, current, foot, empty, sample, capped }: TableProps<T>) {
  if (rows.length === 0 && empty) return <Empty question={sample}>{empty}</Empty>;
  const classOf = ({ num, wide }: Column<T>) => (num ? 'num' : wide ? 'wide' : undefined);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys
    <section class="scroll" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th scope="col" class={classOf(column)}>
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {(capped ? rows.slice(0, MOST) : rows).map((row) => (
            <tr
              key={typeof id === 'function' ? id(row) : String(row[id])}
              aria-current={current?.(row) ? 'true' : undefined}
            >
              {columns.map((column, i) => {
                const Cell = i === 0 ? 'th' : 'td';
                return (
                  <Cell scope={i === 0 ? 'row' : undefined} class={classOf(column)}>
                    {column.cell(row)}
                  </Cell>
                );
              })}
            </tr>
          ))}
        </tbody>
        {foot && (
          <tfoot>
            <tr>
              {foot.map((cell, i) => (
                <td class={classOf(columns[i]!)}>{cell}</td>
              ))}
            </tr>
          </tfoot>
        )}
      </table>
      {capped && rows.length > MOST && (
        <p class="muted">
          The first {MOST} of {whole(rows.length)} rows.
        </p>
      )}
    </section>
  );
}

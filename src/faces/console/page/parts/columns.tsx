import { decimal, whole } from '../format/numbers.ts';
import type { Column } from './Table.tsx';
import { When } from './When.tsx';

/** A column of counts: its head, and the member of a row that it shows. */
export const counts = <Name extends string>(
  head: string,
  name: Name,
): Column<Record<Name, number | null | undefined>> => ({ head, num: true, cell: (row) => whole(row[name]) });

/** A column of exact decimals. */
export const decimals = <Name extends string>(
  head: string,
  name: Name,
): Column<Partial<Record<Name, string | null | undefined>>> => ({
  head,
  num: true,
  cell: (row) => decimal(row[name]),
});

/** A column of moments. */
export const moments = <Name extends string>(
  head: string,
  name: Name,
): Column<Record<Name, string | null | undefined>> => ({ head, cell: (row) => <When at={row[name]} /> });

/** A column of texts. */
export const texts = <Name extends string>(
  head: string,
  name: Name,
  wide = false,
): Column<Partial<Record<Name, string | number | null | undefined>>> => ({
  ...{ head, wide },
  cell: (row) => row[name],
});

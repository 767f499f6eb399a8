import type { ComponentChildren } from 'preact';
import type { Question } from '../api/request.ts';
import type { Pages } from '../api/usePages.ts';
import { Pager } from './Pager.tsx';
import { Table, type TableProps } from './Table.tsx';
import { View } from './View.tsx';

interface ListingProps<T> extends Omit<TableProps<T>, 'rows'> {
  title: string;
  question: Question;
  pages: Pages<T>;
  actions?: ComponentChildren;
  /** More than the first page was asked for. */
  onMore?: (() => void) | undefined;
}

/** A list of the API as a table, page by page. */
export function Listing<T>({ title, question, pages, actions, onMore, ...table }: ListingProps<T>) {
  return (
    <View {...{ title, question, actions }} answer={pages.answer}>
      {() => (
        <>
          <Table rows={pages.rows} {...table} />
          {pages.rows.length > 0 && <Pager {...{ pages, onMore }} />}
        </>
      )}
    </View>
  );
}

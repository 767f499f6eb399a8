import { html } from './dom.ts';
import type { Figures } from './figures.ts';
import type { TimeTexts } from './times.ts';

/** All numbers, exact, as texts. @param label what they are of. */
export function tableOf({ rows, columns, groupBy }: Figures, texts: TimeTexts, label: string): HTMLElement {
  const head = [
    ...['From', ...groupBy].map((name) => html('th', { scope: 'col' }, name)),
    ...columns.map((name) => html('th', { scope: 'col', class: 'number' }, name)),
  ];
  const body = rows.map(({ start, groups, values }) =>
    html(
      'tr',
      {},
      html('th', { scope: 'row' }, texts.long(start)),
      ...groups.map((group) => html('td', {}, group)),
      ...values.map((value) => html('td', { class: 'number' }, value ?? '–')),
    ),
  );
  const table = html(
    'table',
    { part: 'table' },
    html('thead', {}, html('tr', {}, ...head)),
    html('tbody', {}, ...body),
  );
  return html('div', { class: 'scroll', role: 'region', 'aria-label': label, tabindex: '0' }, table);
}

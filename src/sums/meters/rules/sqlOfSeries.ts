import { formatTimestamp } from '../../../model/timestamp.ts';
import type { SeriesDefinition } from '../definition/meterDefinition.ts';
import { stepsOf } from '../definition/paths.ts';
import type { Quote } from './quote.ts';
import type { SeriesSql } from './seriesSql.ts';
import { sqlOfCondition } from './sqlOfCondition.ts';
import { jsonOf, type SqlSource, sourceOf } from './sqlOfPath.ts';
import { sqlOfUsage } from './sqlOfUsage.ts';
import {
  dimensionOfText,
  memberKeyOfText,
  numberIgnored,
  numberOfColumn,
  numberOfJson,
  textIgnored,
  textOfJson,
  textOfNumber,
} from './sqlOfValues.ts';

export { literals, parametersInto, type Quote } from './quote.ts';
export type { SeriesSql } from './seriesSql.ts';

/**
 * The rules of a series over `event e`. test/integration/sums/meterRules.test.ts holds them equal to `SeriesRule`.
 *
 * Each path is evaluated once, and so is what is made of it: the lateral joins have an `offset 0`, without which the
 * planner would write them out wherever they are read.
 *
 * @param series in its normal form, as `seriesOf` and `seriesFromJson` give it.
 */
export function sqlOfSeries(series: SeriesDefinition, quote: Quote): SeriesSql {
  if (series.kind === 'usage') return sqlOfUsage(series.paths);
  const found: string[] = [];
  const made: string[] = [];
  const addTo = (columns: string[], table: string, name: string, expression: string) => {
    columns.push(`${expression} as ${name}`);
    return `${table}.${name}`;
  };
  const text = (source: SqlSource, name: string) => {
    const ofColumn = source.column && textOfColumn(source.column);
    const json = source.json === null ? null : addTo(found, 'found', name, source.json);
    const ofJson = json === null ? null : textOfJson(json);
    return { json, text: addTo(made, 'made', name, either(ofColumn, ofJson, 'null::text')) };
  };

  const dims = series.paths.map((path, i) =>
    dimensionOfText(text(sourceOf(stepsOf(path), quote), `dim${i}`).text),
  );
  const result = {
    value: 'null::numeric',
    member: 'null::uuid',
    memberText: 'null::text',
    ignored: 'null::text',
  };
  if (series.value !== null) {
    const source = sourceOf(stepsOf(series.value), quote);
    if (series.distinct) {
      const member = text(source, 'member');
      result.memberText = member.text;
      result.member = memberKeyOfText(member.text);
      result.ignored = unless(member.text, textIgnored(member.json ?? 'null::jsonb'));
    } else {
      const isNumber = source.column?.type === 'number';
      const column = isNumber ? source.column!.expression : null;
      const rest = isNumber ? source.json : jsonOf(source);
      const json = rest === null ? 'null::jsonb' : addTo(found, 'found', 'value', rest);
      const ofJson = { number: numberOfJson(json), ignored: numberIgnored(json) };
      result.value = addTo(
        made,
        'made',
        'value',
        column === null
          ? ofJson.number
          : `case when ${column} is not null then ${numberOfColumn(column)} else ${ofJson.number} end`,
      );
      const ignored =
        column === null
          ? ofJson.ignored
          : `case when ${column} is not null then 'out_of_range' else ${ofJson.ignored} end`;
      result.ignored = unless(result.value, ignored);
    }
  }
  return {
    from: [lateral('found', found), lateral('made', made)].join(''),
    where: conditionsOf(series, quote).join(' and '),
    dims: `array[${dims.join(', ')}]::text[]`,
    ...result,
  };
}

function conditionsOf({ eventType, eventFromMicros, filter }: SeriesDefinition, quote: Quote): string[] {
  const conditions = [`e.event_type = ${quote(eventType, 'text')}`];
  if (eventFromMicros !== null) {
    conditions.push(`e.ts >= ${quote(formatTimestamp(eventFromMicros), 'timestamptz')}`);
  }
  return [...conditions, ...filter.map((condition) => sqlOfCondition(condition, quote))];
}

function textOfColumn({ type, expression }: NonNullable<SqlSource['column']>): string {
  return type === 'text' ? expression : textOfNumber(expression);
}

/** A reason where there is nothing that counts. */
function unless(value: string, reason: string): string {
  return `case when ${value} is null then ${reason} end`;
}

function either(first: string | null, second: string | null, otherwise: string): string {
  if (first !== null && second !== null) return `coalesce(${first}, ${second})`;
  return first ?? second ?? otherwise;
}

function lateral(name: string, columns: readonly string[]): string {
  return columns.length === 0
    ? ''
    : `\n cross join lateral (select ${columns.join(', ')} offset 0) as ${name}`;
}

import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { Link } from '../../address/Link.tsx';
import { go, link } from '../../address/place.ts';
import { useZone } from '../../address/range.ts';
import { ask, type Problem } from '../../api/request.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { whole } from '../../format/numbers.ts';
import { CurlLine } from '../../parts/CurlLine.tsx';
import { Empty } from '../../parts/Empty.tsx';
import { Fault } from '../../parts/Fault.tsx';
import { Field } from '../../parts/Field.tsx';
import { Options } from '../../parts/Options.tsx';
import { Page } from '../../parts/Page.tsx';
import { Table } from '../../parts/Table.tsx';
import { toast } from '../../parts/Toast.tsx';
import { useSettled } from '../../parts/useSettled.ts';
import { View } from '../../parts/View.tsx';
import { useSession } from '../../session/session.tsx';
import { type Condition, type Draft, definitionOf, EMPTY, type Named, slugOf } from './draft.ts';
import { AGGREGATIONS, type Meter, OPERATORS } from './meter.ts';
import { Preview } from './Preview.tsx';
import { isNumber, lastName, nameOf, pathsOf, type SeenEvent, type SeenPath } from './paths.ts';

const WEEK_MS = 7 * 86_400_000;
const EXAMPLES = 20;

/** Makes a meter: what it would count of the last events is shown all the while. */
export function NewMeter() {
  const zone = useZone();
  const [draft, setDraft] = useState<Draft>(EMPTY);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const change = (changes: Partial<Draft>) => setDraft((last) => ({ ...last, ...changes }));
  const [since] = useState(() => new Date(Date.now() - WEEK_MS).toISOString());
  const types = useAnswer<{ data: { eventType: string | null; calls: number }[] }>({
    path: '/v1/usage',
    query: { from: since, granularity: '1mo', groupBy: 'eventType', limit: 200 },
  });
  const settled = useSettled(draft);
  const seen = useAnswer<{ data: SeenEvent[] }>(
    settled.eventType === ''
      ? null
      : { path: '/v1/events', query: { eventType: settled.eventType, from: since, limit: 50 } },
  );
  const paths = settled.eventType === '' ? [] : pathsOf(seen.data?.data ?? []);
  const counted = new Map<string, number>();
  for (const { eventType, calls } of types.data?.data ?? []) {
    if (eventType !== null) counted.set(eventType, (counted.get(eventType) ?? 0) + calls);
  }
  const slug = slugOf(draft);
  const body = { slug, ...(draft.name !== '' && { name: draft.name }), ...definitionOf(draft, zone) };
  const question = { method: 'POST', path: '/v1/meters', body };
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const made = await ask<Meter>(question);
      toast(`${made.name} counts from now on, and what came before.`);
      go(link(['meters', made.slug], { new: null }));
    } catch (error) {
      setProblem(error as Problem);
      setBusy(false);
    }
  };
  const faultOf = (name: string) => problem?.errors.find(({ pointer }) => pointer === `/${name}`)?.message;
  const valued = draft.aggregation !== 'count';
  const complete = settled.eventType !== '' && (settled.aggregation === 'count' || settled.value !== '');
  return (
    <Page
      title="Make a meter"
      sub="What makes its numbers stays as it is: another definition is another meter."
      actions={<Link to="meters">All meters</Link>}
    >
      <div class="views">
        <View title="Definition">
          <form onSubmit={submit} aria-busy={busy}>
            <Field
              label="Event type"
              error={faultOf('eventType')}
              hint={counted.size > 0 ? 'Of the last 7 days:' : undefined}
            >
              <input
                required
                list="types"
                autocomplete="off"
                spellcheck={false}
                value={draft.eventType}
                onInput={({ currentTarget }) => change({ eventType: currentTarget.value })}
              />
            </Field>
            <datalist id="types">
              {[...counted.keys()].map((type) => (
                <option value={type} />
              ))}
            </datalist>
            <Types
              counted={counted}
              current={draft.eventType}
              known={types.data !== null}
              onPick={(eventType) => change({ eventType })}
              onSent={types.reload}
            />
            {paths.length > 0 && <Paths paths={paths} draft={draft} change={change} />}
            <div class="grid">
              <Field label="Aggregation" error={faultOf('aggregation')}>
                <select
                  value={draft.aggregation}
                  onChange={({ currentTarget }) => change({ aggregation: currentTarget.value })}
                >
                  <Options of={AGGREGATIONS} />
                </select>
              </Field>
              {valued && (
                <Field label="Value path" error={faultOf('value')}>
                  <Path required value={draft.value} onValue={(value) => change({ value })} />
                </Field>
              )}
              <Field label="Slug" error={faultOf('slug')} hint="Its name in requests.">
                <input
                  required
                  pattern="[a-z0-9]+(_[a-z0-9]+)*"
                  maxLength={64}
                  spellcheck={false}
                  value={slug}
                  onInput={({ currentTarget }) => change({ slug: currentTarget.value })}
                />
              </Field>
              <Field label="Name" error={faultOf('name')}>
                <input
                  maxLength={256}
                  value={draft.name}
                  placeholder={slug}
                  onInput={({ currentTarget }) => change({ name: currentTarget.value })}
                />
              </Field>
              <Field label={`Only events from (${zone})`} error={faultOf('eventFrom')}>
                <input
                  type="datetime-local"
                  value={draft.eventFrom}
                  onInput={({ currentTarget }) => change({ eventFrom: currentTarget.value })}
                />
              </Field>
            </div>
            <datalist id="paths">
              {paths.map(({ path }) => (
                <option value={path} />
              ))}
            </datalist>
            <Dimensions rows={draft.dimensions} onRows={(dimensions) => change({ dimensions })} />
            <Conditions rows={draft.filter} onRows={(filter) => change({ filter })} />
            {problem && <Fault problem={problem} title="The meter was not made" />}
            <div class="row end">
              <button type="submit" class="main" disabled={busy}>
                {busy ? 'Making it …' : 'Make the meter'}
              </button>
            </div>
          </form>
          <CurlLine question={question} />
        </View>
        {complete ? (
          <Preview definition={definitionOf(settled, zone)} />
        ) : (
          <View title="Preview">
            <Empty>Choose a type, and what to count of its events: the last ones are shown here.</Empty>
          </View>
        )}
      </div>
    </Page>
  );
}

interface TypesProps {
  counted: ReadonlyMap<string, number>;
  current: string;
  known: boolean;
  onPick(type: string): void;
  onSent(): void;
}

/** The types that there are, to choose one; where there are none, events to try it with. */
function Types({ counted, current, known, onPick, onSent }: TypesProps) {
  const session = useSession();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const body = Array.from({ length: EXAMPLES }, (_, i) => ({
    eventId: crypto.randomUUID?.() ?? `example-${Date.now()}-${i}`,
    timestamp: new Date(Date.now() - i * 60_000).toISOString(),
    customerId: `customer-${1 + (i % 3)}`,
    eventType: 'egress',
    metadata: { gb: i === 7 ? 'n/a' : (1 + i) / 4, region: i % 2 ? 'eu' : 'us' },
  }));
  const question = { method: 'POST', path: '/v1/events', body };
  const sendThem = async () => {
    setBusy(true);
    setProblem(null);
    try {
      await ask(question);
      onSent();
      onPick('egress');
    } catch (error) {
      setProblem(error as Problem);
    }
    setBusy(false);
  };
  if (counted.size > 0) {
    return (
      <div class="row">
        {[...counted].slice(0, 30).map(([type, n]) => (
          <button type="button" aria-pressed={type === current} onClick={() => onPick(type)}>
            {type} <small>{whole(n)}</small>
          </button>
        ))}
      </div>
    );
  }
  if (!known) return null;
  return (
    <Empty question={{ ...question, body: [body[0]] }}>
      <p>
        No event has come in the last 7 days. Examples are events like any other: they count, until they are
        void.
      </p>
      {session.may('ingest') && (
        <button type="button" disabled={busy} onClick={sendThem}>
          {busy ? 'Sending …' : `Send ${EXAMPLES} examples`}
        </button>
      )}
      {problem && <Fault problem={problem} />}
    </Empty>
  );
}

/** What the last events have, each to be measured, told apart by, or asked for. */
function Paths({
  paths,
  draft,
  change,
}: {
  paths: SeenPath[];
  draft: Draft;
  change(changes: Partial<Draft>): void;
}) {
  const { dimensions, filter, aggregation } = draft;
  return (
    <Table
      label="What the last events have"
      rows={paths}
      id="path"
      columns={[
        { head: 'In the last events', cell: ({ path }) => <code>{path}</code> },
        { head: 'Such as', cell: ({ example }) => <code>{JSON.stringify(example).slice(0, 24)}</code> },
        {
          head: 'Use it',
          wide: true,
          cell: ({ path, example }) => (
            <>
              <button
                type="button"
                class="quiet"
                aria-pressed={draft.value === path}
                onClick={() =>
                  change({
                    value: path,
                    dimensions: dimensions.filter((one) => one.path !== path),
                    aggregation:
                      aggregation !== 'count' ? aggregation : isNumber(example) ? 'sum' : 'uniqueCount',
                  })
                }
              >
                measure
              </button>
              <button
                type="button"
                class="quiet"
                disabled={draft.value === path}
                aria-pressed={dimensions.some((one) => one.path === path)}
                onClick={() =>
                  change({
                    dimensions: dimensions.some((one) => one.path === path)
                      ? dimensions.filter((one) => one.path !== path)
                      : [...dimensions, { name: nameOf(lastName(path)), path }],
                  })
                }
              >
                group by
              </button>
              <button
                type="button"
                class="quiet"
                onClick={() =>
                  change({
                    filter: [...filter, { path, operator: 'equals', value: JSON.stringify(example) }],
                  })
                }
              >
                only this
              </button>
            </>
          ),
        },
      ]}
    />
  );
}

interface RowsProps<Row> {
  rows: Row[];
  onRows(rows: Row[]): void;
}

function Dimensions({ rows, onRows }: RowsProps<Named>) {
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

function Conditions({ rows, onRows }: RowsProps<Condition>) {
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

function Path({
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

import { useState } from 'preact/hooks';
import { Link } from '../../address/Link.tsx';
import { go, link } from '../../address/place.ts';
import { useZone } from '../../address/range.ts';
import { ask, type Problem } from '../../api/request.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { CurlLine } from '../../parts/CurlLine.tsx';
import { Empty } from '../../parts/Empty.tsx';
import { Fault } from '../../parts/Fault.tsx';
import { Field } from '../../parts/Field.tsx';
import { Options } from '../../parts/Options.tsx';
import { Page } from '../../parts/Page.tsx';
import { toast } from '../../parts/Toast.tsx';
import { useSettled } from '../../parts/useSettled.ts';
import { View } from '../../parts/View.tsx';
import { Conditions, Dimensions, Path } from './DefinitionRows.tsx';
import { type Draft, definitionOf, EMPTY, slugOf } from './draft.ts';
import { EventTypes } from './EventTypes.tsx';
import { AGGREGATIONS, type Meter } from './meter.ts';
import { Preview } from './Preview.tsx';
import { pathsOf, type SeenEvent } from './paths.ts';
import { SeenPaths } from './SeenPaths.tsx';

const WEEK_MS = 7 * 86_400_000;

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
      : {
          path: '/v1/events',
          query: { eventType: settled.eventType, from: since, limit: 50 },
          exact: true,
        },
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
    if (busy) return;
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
            <EventTypes
              counted={counted}
              current={draft.eventType}
              known={types.data !== null}
              onPick={(eventType) => change({ eventType })}
              onSent={types.reload}
            />
            {paths.length > 0 && <SeenPaths paths={paths} draft={draft} change={change} />}
            <div class="grid">
              <Field label="Aggregation" error={faultOf('aggregation')}>
                <select
                  value={draft.aggregation}
                  onChange={({ currentTarget }) => change({ aggregation: currentTarget.value, chosen: true })}
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
                  title="Small letters, digits, and single underscores between them: egress_gb"
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
              <button type="submit" class="main" aria-disabled={busy}>
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

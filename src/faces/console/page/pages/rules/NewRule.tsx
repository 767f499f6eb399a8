import { useState } from 'preact/hooks';
import { go, link } from '../../address/place.ts';
import { ask } from '../../api/request.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { CurlLine } from '../../parts/CurlLine.tsx';
import { Customers, listOf } from '../../parts/Customers.tsx';
import { Confirm } from '../../parts/Dialog.tsx';
import { Field } from '../../parts/Field.tsx';
import { Options } from '../../parts/Options.tsx';
import { toast } from '../../parts/Toast.tsx';
import { useSession } from '../../session/session.tsx';
import type { Meter } from '../meters/meter.ts';
import type { Rule } from './rule.ts';

const MEASURES = {
  usage: { tokens: 'tokens', calls: 'calls', value: 'value', cost: 'cost' },
  event: { value: 'value', tokens: 'tokens', latencyMs: 'latency in ms', cost: 'cost' },
};
/** Which meters can be compared so: docs/meters.md. */
const COMPARABLE = { usage: ['count', 'sum', 'max'], event: ['sum', 'avg', 'min', 'max', 'latest'] };

/** Makes a rule. */
export function NewRule({ onClose, onDone }: { onClose(): void; onDone(): void }) {
  const [kind, setKind] = useState<Rule['kind']>('usage');
  const [compared, setCompared] = useState('tokens');
  const [period, setPeriod] = useState('month');
  const [currency, setCurrency] = useState('USD');
  const [threshold, setThreshold] = useState('');
  const [name, setName] = useState('');
  const [eventType, setEventType] = useState('');
  const [customers, setCustomers] = useState('');
  const { may } = useSession();
  const { data } = useAnswer<{ data: Meter[] }>(
    may('read') ? { path: '/v1/meters', query: { limit: 1_000 } } : null,
  );
  const meters = data?.data.filter(({ aggregation }) => COMPARABLE[kind].includes(aggregation)) ?? [];
  const meter = compared.startsWith('meter ') ? compared.slice(6) : null;
  const body = {
    kind,
    ...(meter !== null ? { meter } : { [kind === 'event' ? 'field' : 'measure']: compared }),
    ...(compared === 'cost' && { currency }),
    ...(kind === 'usage' && { period }),
    threshold,
    ...(name !== '' && { name }),
    ...(eventType !== '' && meter === null && { eventType }),
    customers: listOf(customers),
  };
  const question = { method: 'POST', path: '/v1/alert-rules', body };
  const make = async () => {
    const made = await ask<Rule>(question);
    toast('The rule is made.');
    onDone();
    go(link(['rules', made.id]));
  };
  const choose = (to: Rule['kind']) => {
    setKind(to);
    setCompared('tokens');
  };
  return (
    <Confirm title="Make a rule" action="Make the rule" onConfirm={make} onClose={onClose}>
      <div class="grid">
        <Field label="Tell of">
          <select value={kind} onChange={({ currentTarget }) => choose(currentTarget.value as Rule['kind'])}>
            <option value="usage">a customer whose sum is above</option>
            <option value="event">each event that is above</option>
          </select>
        </Field>
        <Field label="Compare">
          <select value={compared} onChange={({ currentTarget }) => setCompared(currentTarget.value)}>
            <Options of={MEASURES[kind]} />
            {meters.length > 0 && (
              <optgroup label="Meters">
                {meters.map(({ slug, name: text }) => (
                  <option value={`meter ${slug}`}>{text}</option>
                ))}
              </optgroup>
            )}
          </select>
        </Field>
        {compared === 'cost' && (
          <Field label="Currency">
            <input
              required
              pattern="[A-Z]{3}"
              title="Three letters: USD"
              maxLength={3}
              value={currency}
              onInput={({ currentTarget }) => setCurrency(currentTarget.value.toUpperCase())}
            />
          </Field>
        )}
        {kind === 'usage' && (
          <Field label="In each" hint="Of UTC.">
            <select value={period} onChange={({ currentTarget }) => setPeriod(currentTarget.value)}>
              {['hour', 'day', 'month'].map((one) => (
                <option value={one}>{one}</option>
              ))}
            </select>
          </Field>
        )}
        <Field label="Threshold" hint="What equals it is not above.">
          <input
            required
            inputMode="decimal"
            pattern="-?\d+(\.\d+)?"
            title="A decimal, with a point: 12.50"
            value={threshold}
            onInput={({ currentTarget }) => setThreshold(currentTarget.value.trim())}
          />
        </Field>
        <Field label="Name">
          <input maxLength={256} value={name} onInput={({ currentTarget }) => setName(currentTarget.value)} />
        </Field>
        {meter === null && (
          <Field label="Only events of type">
            <input
              value={eventType}
              placeholder="all"
              onInput={({ currentTarget }) => setEventType(currentTarget.value)}
            />
          </Field>
        )}
      </div>
      <Customers onValue={setCustomers} />
      <CurlLine question={question} />
    </Confirm>
  );
}

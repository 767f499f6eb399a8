import { Field } from '../../parts/Field.tsx';

/** Ids, one a line. */
export const listOf = (text: string) =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);

export function Customers({ value, onValue }: { value: string; onValue(value: string): void }) {
  return (
    <Field label="Only these customers" hint="One id a line; empty: all.">
      <textarea rows={2} value={value} onInput={({ currentTarget }) => onValue(currentTarget.value)} />
    </Field>
  );
}

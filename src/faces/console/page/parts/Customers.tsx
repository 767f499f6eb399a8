import { Field } from './Field.tsx';

/** Ids that were filled in, one a line: any other sign can be part of one. Undefined: none was. */
export function listOf(given: unknown): string[] | undefined {
  const ids = String(given)
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  return ids.length > 0 ? ids : undefined;
}

interface CustomersProps {
  of?: readonly string[] | null | undefined;
  onValue?: (value: string) => void;
}

/** Whom something is about: `customers` of a form, for `listOf`. */
export function Customers({ of, onValue }: CustomersProps) {
  return (
    <Field label="Only these customers" hint="One id a line; empty: all.">
      <textarea
        name="customers"
        rows={2}
        defaultValue={of?.join('\n') ?? ''}
        onInput={({ currentTarget }) => onValue?.(currentTarget.value)}
      />
    </Field>
  );
}

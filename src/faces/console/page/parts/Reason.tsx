import { Field } from './Field.tsx';

/** Why something is done: `reason` of a form. */
export const Reason = ({ onValue }: { onValue?: (reason: string) => void }) => (
  <Field label="Reason" hint="It stands in the audit log and in the history.">
    <input
      name="reason"
      required
      maxLength={1_024}
      onInput={({ currentTarget }) => onValue?.(currentTarget.value)}
    />
  </Field>
);

import type { ComponentChildren } from 'preact';

interface FieldProps {
  label: string;
  /** What else is to be known. */
  hint?: ComponentChildren;
  error?: string | null | undefined;
  /** The control. */
  children: ComponentChildren;
}

/** A control with its label, and what is wrong with what it holds. */
export function Field({ label, hint, error, children }: FieldProps) {
  return (
    <div class="field">
      {/* biome-ignore lint/a11y/noLabelWithoutControl: the control is among the children */}
      <label>
        <span>{label}</span>
        {children}
      </label>
      {hint && <small>{hint}</small>}
      {error && (
        <small class="bad" role="alert">
          {error}
        </small>
      )}
    </div>
  );
}

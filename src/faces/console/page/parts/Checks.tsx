interface ChecksProps {
  label: string;
  /** Of the inputs, in a form. */
  name: string;
  /** Value to text. */
  options: Record<string, string>;
  /** Those that are checked to begin with. */
  chosen?: readonly string[];
}

/** Any of several, in a form. */
export function Checks({ label, name, options, chosen = [] }: ChecksProps) {
  return (
    <fieldset class="checks">
      <legend>{label}</legend>
      {Object.entries(options).map(([value, text]) => (
        <label>
          <input type="checkbox" {...{ name, value }} defaultChecked={chosen.includes(value)} />
          {text}
        </label>
      ))}
    </fieldset>
  );
}

import { writeJson } from '../format/json.ts';

/** A document as it came, indented. */
export function Json({ label, value }: { label: string; value: unknown }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys
    <section class="scroll" aria-label={label} tabIndex={0}>
      <pre>{writeJson(value)}</pre>
    </section>
  );
}

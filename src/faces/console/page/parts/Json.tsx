import { writeJson } from '../format/json.ts';

/** A document as it came: a text as it is, to the last digit, and anything else indented. */
export function Json({ label, value }: { label: string; value: unknown }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys
    <section class="scroll" aria-label={label} tabIndex={0}>
      <pre class={typeof value === 'string' ? 'folded' : undefined}>
        {typeof value === 'string' ? value : writeJson(value)}
      </pre>
    </section>
  );
}

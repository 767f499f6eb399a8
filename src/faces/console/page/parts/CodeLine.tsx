import { Copy } from './Copy.tsx';

/** A command that a shell understands, to copy. */
export function CodeLine({ line, label }: { line: string; label: string }) {
  return (
    <div class="curl">
      <Copy text={line} label={`Copy ${label}`} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
      <code tabIndex={0}>{line}</code>
    </div>
  );
}

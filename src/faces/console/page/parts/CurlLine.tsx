import { curlOf } from '../api/curl.ts';
import type { Question } from '../api/request.ts';
import { Copy } from './Copy.tsx';

/** The question as a command that a shell understands, to copy. */
export function CurlLine({ question, label = 'curl' }: { question: Question; label?: string }) {
  const line = curlOf(question);
  return (
    <div class="curl">
      <Copy text={line} label={`Copy ${label}`} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
      <code tabIndex={0}>{line}</code>
    </div>
  );
}

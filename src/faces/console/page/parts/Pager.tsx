import type { Pages } from '../api/usePages.ts';
import { Fault } from './Fault.tsx';

/** How many rows of a list are shown, and the way to more of them. */
export function Pager({ pages, onMore }: { pages: Pages<unknown>; onMore?: (() => void) | undefined }) {
  const { rows, more, busy, problem } = pages;
  const go = () => {
    onMore?.();
    more?.();
  };
  return (
    <div class="pager">
      {problem && <Fault problem={problem} />}
      <span class="muted" aria-live="polite">
        {rows.length} shown{more ? '' : ', all there are'}
      </span>
      {more && (
        <button type="button" disabled={busy} onClick={go}>
          {busy ? 'Loading …' : 'Show more'}
        </button>
      )}
    </div>
  );
}

import type { Pages } from '../api/usePages.ts';
import { Fault } from './Fault.tsx';

/** How many rows of a list are shown, and the way to more of them. */
export function Pager({ pages: { rows, more, busy, problem } }: { pages: Pages<unknown> }) {
  return (
    <div class="pager">
      {problem && <Fault problem={problem} />}
      <span class="muted" aria-live="polite">
        {rows.length} shown{more ? '' : ', all there are'}
      </span>
      {more && (
        <button type="button" disabled={busy} onClick={more}>
          {busy ? 'Loading …' : 'Show more'}
        </button>
      )}
    </div>
  );
}

import type { Pages } from '../api/usePages.ts';
import { Fault } from './Fault.tsx';
import { useKeptFocus } from './useKeptFocus.ts';

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
      {more && <More {...{ busy }} onClick={go} />}
    </div>
  );
}

function More({ busy, onClick }: { busy: boolean; onClick(): void }) {
  return (
    <button ref={useKeptFocus()} type="button" aria-disabled={busy} onClick={() => busy || onClick()}>
      {busy ? 'Loading …' : 'Show more'}
    </button>
  );
}

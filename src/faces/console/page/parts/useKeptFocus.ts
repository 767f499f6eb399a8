import type { RefObject } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

/**
 * For a button that may be gone once it has done what it is for. Who had the keyboard on it then has it on the list that
 * it belongs to, or else on the title of the page.
 */
export function useKeptFocus(): RefObject<HTMLButtonElement | null> {
  const button = useRef<HTMLButtonElement>(null);
  useLayoutEffect(
    () => () => {
      const gone = button.current;
      if (gone === null || gone !== document.activeElement) return;
      const list = gone.closest('.scroll') ?? gone.closest('.view')?.querySelector('.scroll');
      ((list ?? document.querySelector('main h1')) as HTMLElement | null)?.focus();
    },
    [],
  );
  return button;
}

import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';

interface PageProps {
  title: string;
  /** A sentence below the title. */
  sub?: ComponentChildren;
  /** Controls beside the title. */
  actions?: ComponentChildren;
  children: ComponentChildren;
}

/** The frame of a page: its title, which is the tab's too, its controls, and its views. */
export function Page({ title, sub, actions, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Tidemark`;
  }, [title]);
  return (
    <>
      <header class="title">
        <div>
          <h1 tabIndex={-1}>{title}</h1>
          {sub && <p class="muted">{sub}</p>}
        </div>
        {actions && <div class="row">{actions}</div>}
      </header>
      {children}
    </>
  );
}

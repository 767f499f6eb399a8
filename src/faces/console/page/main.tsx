import { type ComponentType, render } from 'preact';
import { useEffect } from 'preact/hooks';
import { Link } from './address/Link.tsx';
import { go, usePlace } from './address/place.ts';
import { PAGES } from './pages/pages.ts';
import { Boundary } from './parts/Boundary.tsx';
import { Empty } from './parts/Empty.tsx';
import { Page } from './parts/Page.tsx';
import { Shell } from './session/Shell.tsx';
import { SignedIn, useSession } from './session/session.tsx';
import { applyTheme } from './styles/theme.ts';

/** The page that the address names, in the shell. */
function Console() {
  const place = usePlace();
  const session = useSession();
  const allowed = PAGES.filter((page) => page.allows(session));
  const name = place.page === '' ? allowed[0]?.name : place.page;
  const entry = allowed.find((page) => page.name === name);
  useEffect(() => {
    if (place.page === '' && name !== undefined) go(place.link(name), true);
  }, [place.page, name]);
  return (
    <Shell current={entry}>
      {entry === undefined ? (
        <Elsewhere
          known={name === undefined || PAGES.some((page) => page.name === name)}
          back={allowed.length > 0}
        />
      ) : entry.ofTenant && session.tenantId === null ? (
        <Page title={entry.title}>
          <Empty>Choose a tenant above: this key acts for any, and the page shows one.</Empty>
        </Page>
      ) : (
        <Visited key={`${entry.name} ${session.tenantId}`} Content={entry.Content} />
      )}
    </Shell>
  );
}

/** A page. */
function Visited({ Content }: { Content: ComponentType }) {
  useArrival();
  return (
    <Boundary of={location.href}>
      <Content />
    </Boundary>
  );
}

/** Where we were before, and what had the keyboard last. */
let left: URL | null = null;
let held: Element | null = null;
addEventListener('focusin', ({ target }) => {
  held = target as Element;
});

/**
 * Who goes from one page to another hears where they are. Who stays on one is where they were; where that is gone, on the
 * link that leads to where they come from, or else on the title.
 */
function useArrival(): void {
  const { href, pathname } = location;
  useEffect(() => {
    const from = left;
    left = new URL(href);
    if (from === null || from.href === href) return;
    const stays = from.pathname === pathname;
    if (stays && held?.isConnected !== false) return;
    const links = [...document.querySelectorAll<HTMLAnchorElement>('main a')];
    const back = stays ? links.find((link) => link.href === from.href) : undefined;
    (back ?? document.querySelector<HTMLElement>('main h1'))?.focus();
  }, [href]);
}

/** @param known whether there is such a page. @param back whether there is any for this key. */
function Elsewhere({ known, back }: { known: boolean; back: boolean }) {
  return (
    <Page title={known ? 'Not with this key' : 'No such page'}>
      <Empty>
        {!back
          ? 'What this key may do is done without the console.'
          : known
            ? 'This key may not do what this page is for. '
            : 'There is nothing at this address. '}
        {back && <Link to="">Back to the beginning</Link>}
      </Empty>
    </Page>
  );
}

/** Links to pages of the console change the address, and load nothing anew. */
function followLinks(): void {
  addEventListener('click', (event) => {
    const link = (event.target as Element).closest?.('a');
    const changed = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    if (!link || changed || event.button !== 0 || event.defaultPrevented) return;
    const to = new URL(link.href);
    if (to.origin !== location.origin || !/^\/console(\/|$)/.test(to.pathname) || to.hash !== '') return;
    event.preventDefault();
    if (to.pathname !== location.pathname) scrollTo(0, 0);
    go(to.pathname + to.search);
  });
}

applyTheme();
followLinks();
render(
  <SignedIn>
    <Console />
  </SignedIn>,
  document.getElementById('console')!,
);

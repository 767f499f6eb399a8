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
        <Elsewhere known={PAGES.some((page) => page.name === name)} />
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

/** A page. Who goes from one to another hears where they are. */
function Visited({ Content }: { Content: ComponentType }) {
  useEffect(() => {
    if (visited++ > 0) document.querySelector<HTMLElement>('main h1')?.focus();
  }, []);
  return (
    <Boundary>
      <Content />
    </Boundary>
  );
}
let visited = 0;

function Elsewhere({ known }: { known: boolean }) {
  return (
    <Page title={known ? 'Not with this key' : 'No such page'}>
      <Empty>
        {known ? 'This key may not do what this page is for. ' : 'There is nothing at this address. '}
        <Link to="">Back to the beginning</Link>
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

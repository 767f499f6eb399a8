import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Link } from '../address/Link.tsx';
import { usePlace } from '../address/place.ts';
import { useAnswer } from '../api/useAnswer.ts';
import { PAGES, type PageEntry } from '../pages/pages.ts';
import { Filter } from '../parts/Filter.tsx';
import { Toasts } from '../parts/Toast.tsx';
import { ZonePicker } from '../parts/ZonePicker.tsx';
import { chooseTheme, type Theme, themeOf } from '../styles/theme.ts';
import { Mark } from './KeyForm.tsx';
import { useSession } from './session.tsx';

/** What is around every page: where one may go, whose numbers these are, and how they are shown. */
export function Shell({
  current,
  children,
}: {
  current: PageEntry | undefined;
  children: ComponentChildren;
}) {
  const session = useSession();
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [current]);
  const allowed = PAGES.filter((page) => page.allows(session));
  const groups = [...new Set(allowed.map(({ group }) => group))];
  return (
    <div class="shell">
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <header class="bar">
        <Link to="" class="brand">
          <Mark /> Tidemark
        </Link>
        <button
          type="button"
          class="menu"
          aria-expanded={open}
          aria-controls="pages"
          onClick={() => setOpen((is) => !is)}
        >
          Menu
        </button>
        <div class={open ? 'row open' : 'row'}>
          {session.caller.platform ? <TenantPicker /> : <b class="tenant">{session.tenantId}</b>}
          <ZonePicker />
          <ThemePicker />
          <button type="button" class="quiet" onClick={session.signOut}>
            Sign out
          </button>
        </div>
      </header>
      <nav id="pages" aria-label="Pages" class={open ? 'open' : undefined}>
        {groups.map((group) => (
          <section aria-label={group}>
            <h2>{group}</h2>
            <ul>
              {allowed
                .filter((page) => page.group === group)
                .map(({ name, title }) => (
                  <li>
                    <Link to={name} aria-current={name === current?.name ? 'page' : undefined}>
                      {title}
                    </Link>
                  </li>
                ))}
            </ul>
          </section>
        ))}
      </nav>
      <main id="content">{children}</main>
      <Toasts />
    </div>
  );
}

function ThemePicker() {
  return (
    <label class="choice">
      <span>Theme</span>
      <select
        defaultValue={themeOf()}
        onChange={({ currentTarget }) => chooseTheme(currentTarget.value as Theme)}
      >
        <option value="auto">as the system</option>
        <option value="light">light</option>
        <option value="dark">dark</option>
      </select>
    </label>
  );
}

/** Whom a platform key acts for: one of those that it may list, or one that is named. */
function TenantPicker() {
  const { may } = useSession();
  return may('admin') ? <KnownTenants /> : <Filter label="Tenant" name="tenant" placeholder="its id" />;
}

function KnownTenants() {
  const place = usePlace();
  const { tenantId } = useSession();
  const { data } = useAnswer<{ data: { id: string }[] }>({ path: '/v1/tenants', query: { limit: 1_000 } });
  const ids = (data?.data ?? []).map(({ id }) => id);
  if (tenantId !== null && !ids.includes(tenantId)) ids.unshift(tenantId);
  return (
    <label class="choice">
      <span>Tenant</span>
      <select
        value={tenantId ?? ''}
        onChange={({ currentTarget }) => place.set({ tenant: currentTarget.value })}
      >
        <option value="">choose …</option>
        {ids.map((id) => (
          <option value={id}>{id}</option>
        ))}
      </select>
    </label>
  );
}

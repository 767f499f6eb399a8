import { useEffect, useReducer } from 'preact/hooks';

/** Where every page's path begins. */
const BASE = '/console';
/** What goes along from page to page. */
const KEPT = ['tenant', 'zone', 'range', 'from', 'to'];

export type Params = Record<string, string | number | null | undefined>;

export interface Place {
  /** The page's name; '' where none is named. */
  page: string;
  /** What follows it in the path, decoded. */
  rest: string[];
  /** A parameter of the address, null where it is not given. */
  get(name: string): string | null;
  /** Changes parameters (null takes one away), as a new entry of the history unless it is to replace this one. */
  set(changes: Params, options?: { replace?: boolean }): void;
  link(to: string | string[], params?: Params): string;
  /** The address of this page with parameters changed. */
  here(changes: Params): string;
}

const listeners = new Set<() => void>();
const tell = () => {
  for (const listener of listeners) listener();
};
addEventListener('popstate', tell);

/** Goes to an address of the console. */
export function go(href: string, replace = false): void {
  if (href === location.pathname + location.search) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', href);
  tell();
}

/**
 * The address of a page, with the tenant, zone and range of this one.
 *
 * @param to `usage`, or parts that may hold anything: `['customers', id]`.
 */
export function link(to: string | string[], params: Params = {}): string {
  const here = new URLSearchParams(location.search);
  const kept = Object.fromEntries(KEPT.map((name) => [name, here.get(name)]));
  const path = typeof to === 'string' ? to : to.map(encodeURIComponent).join('/');
  return address(`${BASE}/${path}`, new URLSearchParams(), { ...kept, ...params });
}

function address(path: string, query: URLSearchParams, changes: Params): string {
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === '') query.delete(name);
    else query.set(name, String(value));
  }
  return query.size > 0 ? `${path}?${query}` : path;
}

const here = (changes: Params) => address(location.pathname, new URLSearchParams(location.search), changes);

/** Where we are, and how to get elsewhere. What calls it is drawn anew with every change of the address. */
export function usePlace(): Place {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    listeners.add(redraw as () => void);
    return () => void listeners.delete(redraw as () => void);
  }, []);
  const [page = '', ...rest] = location.pathname
    .slice(BASE.length + 1)
    .split('/')
    .map(decoded);
  return {
    page,
    rest: rest.filter((part) => part !== ''),
    get: (name) => new URLSearchParams(location.search).get(name),
    set: (changes, { replace = false } = {}) => go(here(changes), replace),
    link,
    here,
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

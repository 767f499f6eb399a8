import type { ComponentType } from 'preact';
import type { Session } from '../session/session.tsx';

export interface PageEntry {
  name: string;
  title: string;
  group: string;
  /** Whether a key may do what it is for. */
  allows(session: Session): boolean;
  /** Whether it shows one tenant, which a platform key has to choose. */
  ofTenant: boolean;
}

const reads = { ofTenant: true, allows: ({ may }: Session) => may('read') };
const administers = { ofTenant: true, allows: ({ may }: Session) => may('admin') };
const operates = { ofTenant: false, allows: ({ may, caller }: Session) => caller.platform && may('admin') };

/** Every page, in the order of the navigation; each in its folder, from where it is loaded when it is needed. */
export const PAGES: readonly PageEntry[] = [
  {
    name: 'now',
    title: 'Now',
    group: 'Watch',
    ofTenant: false,
    allows: ({ may, caller }) => may('read') || (caller.platform && may('admin')),
  },
  { name: 'usage', title: 'Usage', group: 'Watch', ...reads },
  { name: 'meters', title: 'Meters', group: 'Watch', ...reads },
  { name: 'customers', title: 'Customers', group: 'Watch', ...reads },
  { name: 'events', title: 'Events', group: 'Inspect', ...reads },
  { name: 'windows', title: 'Windows', group: 'Inspect', ...reads },
  { name: 'deliveries', title: 'Deliveries', group: 'Notify', ...administers },
  { name: 'rules', title: 'Rules', group: 'Notify', ...administers },
  { name: 'import', title: 'Import', group: 'Manage', ofTenant: true, allows: ({ may }) => may('ingest') },
  { name: 'tenants', title: 'Tenants', group: 'Manage', ...operates },
  { name: 'keys', title: 'Keys', group: 'Manage', ...administers, ofTenant: false },
  { name: 'audit', title: 'Audit', group: 'Manage', ...administers, ofTenant: false },
];

/** Loads a page: pages/usage/UsagePage.tsx. */
export async function loadPage(name: string): Promise<ComponentType> {
  const file = `${name[0]!.toUpperCase()}${name.slice(1)}Page.js`;
  const { default: page } = await import(`./${name}/${file}`);
  return page;
}

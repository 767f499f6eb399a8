import type { ComponentType } from 'preact';
import type { Session } from '../session/session.tsx';
import AuditPage from './audit/AuditPage.tsx';
import CustomersPage from './customers/CustomersPage.tsx';
import DeliveriesPage from './deliveries/DeliveriesPage.tsx';
import EventsPage from './events/EventsPage.tsx';
import ImportPage from './import/ImportPage.tsx';
import KeysPage from './keys/KeysPage.tsx';
import MetersPage from './meters/MetersPage.tsx';
import NowPage from './now/NowPage.tsx';
import RulesPage from './rules/RulesPage.tsx';
import TenantsPage from './tenants/TenantsPage.tsx';
import UsagePage from './usage/UsagePage.tsx';
import WindowsPage from './windows/WindowsPage.tsx';

export interface PageEntry {
  name: string;
  title: string;
  group: string;
  Content: ComponentType;
  /** Whether a key may do what it is for. */
  allows(session: Session): boolean;
  /** Whether it shows one tenant, which a platform key has to choose. */
  ofTenant: boolean;
}

const reads = { ofTenant: true, allows: ({ may }: Session) => may('read') };
const administers = { ofTenant: true, allows: ({ may }: Session) => may('admin') };
const operates = { ofTenant: false, allows: ({ may, caller }: Session) => caller.platform && may('admin') };

/** Every page, in the order of the navigation; each in its folder. */
export const PAGES: readonly PageEntry[] = [
  {
    name: 'now',
    title: 'Now',
    group: 'Watch',
    Content: NowPage,
    ofTenant: false,
    // All tenants together are the administration's; one is for who may read it.
    allows: ({ may, caller, tenantId }) =>
      may('read') || (caller.platform && may('admin') && tenantId === null),
  },
  { name: 'usage', title: 'Usage', group: 'Watch', Content: UsagePage, ...reads },
  { name: 'meters', title: 'Meters', group: 'Watch', Content: MetersPage, ...reads },
  { name: 'customers', title: 'Customers', group: 'Watch', Content: CustomersPage, ...reads },
  { name: 'events', title: 'Events', group: 'Inspect', Content: EventsPage, ...reads },
  { name: 'windows', title: 'Windows', group: 'Inspect', Content: WindowsPage, ...reads },
  { name: 'deliveries', title: 'Deliveries', group: 'Notify', Content: DeliveriesPage, ...administers },
  { name: 'rules', title: 'Rules', group: 'Notify', Content: RulesPage, ...administers },
  {
    name: 'import',
    title: 'Import',
    group: 'Manage',
    Content: ImportPage,
    ofTenant: true,
    allows: ({ may }) => may('ingest'),
  },
  { name: 'tenants', title: 'Tenants', group: 'Manage', Content: TenantsPage, ...operates },
  { name: 'keys', title: 'Keys', group: 'Manage', Content: KeysPage, ...administers, ofTenant: false },
  { name: 'audit', title: 'Audit', group: 'Manage', Content: AuditPage, ...administers, ofTenant: false },
];

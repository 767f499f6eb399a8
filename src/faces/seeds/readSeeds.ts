import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { z } from 'zod';
import type { Scope } from '../../access/tenancy/caller.ts';
import { errorCode } from '../../ground/db/sqlstate.ts';
import { whyUnreadable } from '../../ground/whyUnreadable.ts';
import { StartupError } from '../../model/errors.ts';
import { MAX_ALERT_RULES, type NewAlertRule } from '../../outbound/delivery/alertRules.ts';
import { checkNewMeter } from '../../sums/meters/catalog/newMeter.ts';
import { type Feature, SEED_FILES, type SeedFile, type SeedTexts, type TrafficProfile } from './seedFiles.ts';

/** Those that come with the program; as far from here in dist/ as in src/. */
export const SEEDS = fileURLToPath(new URL('../../../seeds', import.meta.url));

/** What the traffic of a tenant is posted with. */
const TRAFFIC_SCOPES = ['ingest', 'read'] as const;

export interface SeedCustomer {
  id: string;
  name: string | null;
  /** Of the tenant's traffic, beside its other customers. */
  weight: number;
}

export interface SeedTenant {
  id: string;
  name: string;
  keyScopes: Scope[];
  customers: SeedCustomer[];
  /** Each has a name that no other of the tenant has. */
  alertRules: (NewAlertRule & { name: string })[];
  /** As the API takes them, each with a slug that no other of the tenant has. */
  meters: (Record<string, unknown> & { slug: string })[];
}

export interface TrafficTenant extends SeedTenant {
  /** Of all traffic, beside the other tenants. */
  weight: number;
  features: Feature[];
  /** Part of the events that are clicks and impressions. */
  browsing: number;
}

/** What the folder says, of one piece: every name leads somewhere, and whatever must be drawn from can be. */
export interface Seeds {
  /** The tenant of the first start in `dev`. */
  firstStart: SeedTenant;
  /** Those that `tidemark seed` posts for, in its order. */
  traffic: TrafficTenant[];
  profile: TrafficProfile;
}

/** As many as METERS_PER_TENANT allows where nobody has set it. */
const MAX_METERS = 100;

/** Where in a file something is wrong, as the keys that lead there. */
type Path = PropertyKey[];

/**
 * Reads and checks a folder of seeds: all of it, before anything is done with any of it.
 *
 * @throws {StartupError} which names the file, the place in it (RFC 6901) and what is wrong, in one line.
 */
export async function readSeeds(folder = SEEDS): Promise<Seeds> {
  const files = Object.keys(SEED_FILES) as SeedFile[];
  const texts: Partial<Record<SeedFile, unknown>> = {};
  for (const file of files) texts[file] = await readOne(folder, file);
  return together(folder, texts as SeedTexts);
}

async function readOne(folder: string, file: SeedFile): Promise<SeedTexts[SeedFile]> {
  const bytes = await readFile(join(folder, file)).catch((error) => {
    if (errorCode(error) === 'ENOENT' && EMPTY[file] !== undefined) return undefined;
    throw fault(folder, file, [], whyUnreadable(error), error);
  });
  if (bytes === undefined) return EMPTY[file]!;
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    const what = error instanceof SyntaxError ? `is not JSON: ${error.message}` : 'is not UTF-8';
    throw fault(folder, file, [], what, error);
  }
  const checked = (SEED_FILES[file] as z.ZodType<SeedTexts[SeedFile]>).safeParse(json);
  if (checked.success) return checked.data;
  const [first, ...more] = checked.error.issues;
  const others = more.length === 0 ? '' : ` (and ${more.length} more)`;
  const path = first!.code === 'unrecognized_keys' ? [...first!.path, first!.keys[0]!] : first!.path;
  const what = first!.code === 'unrecognized_keys' ? 'there is no such field' : first!.message;
  throw fault(folder, file, path, `${what}${others}`);
}

/** What a folder of an earlier version does not have. */
const EMPTY: Partial<SeedTexts> = { 'meters.json': { meters: [] } };

/** What holds between the files, and between the rows of one. */
function together(folder: string, texts: SeedTexts): Seeds {
  const refuse = (file: SeedFile, path: Path, what: string): never => {
    throw fault(folder, file, path, what);
  };
  const { firstStart, tenants: listed } = texts['tenants.json'];
  const { features: allFeatures, tenants: busy, $schema: _, ...profile } = texts['traffic.json'];

  const tenants = new Map<string, SeedTenant>();
  for (const [i, { id, name, keyScopes }] of listed.entries()) {
    const path = ['tenants', i];
    if (tenants.has(id)) refuse('tenants.json', [...path, 'id'], `${quoted(id)} is there twice`);
    if (new Set(keyScopes).size < keyScopes.length)
      refuse('tenants.json', [...path, 'keyScopes'], 'has a scope twice');
    tenants.set(id, { id, name, keyScopes, customers: [], alertRules: [], meters: [] });
  }
  const tenantOf = (file: SeedFile, path: Path, id: string): SeedTenant =>
    tenants.get(id) ?? refuse(file, path, `${quoted(id)} is not in tenants.json`);
  const first = tenantOf('tenants.json', ['firstStart'], firstStart);

  const customerIds = new Map(listed.map(({ id }) => [id, new Set<string>()]));
  for (const [i, { tenant, id, name, weight }] of texts['customers.json'].customers.entries()) {
    const path = ['customers', i];
    const { customers } = tenantOf('customers.json', [...path, 'tenant'], tenant);
    const ids = customerIds.get(tenant)!;
    if (ids.has(id)) refuse('customers.json', [...path, 'id'], `${quoted(id)} is there twice`);
    ids.add(id);
    customers.push({ id, name: name ?? null, weight });
  }

  for (const [i, { tenant, ...rule }] of texts['alert-rules.json'].alertRules.entries()) {
    const path = ['alertRules', i];
    const { alertRules } = tenantOf('alert-rules.json', [...path, 'tenant'], tenant);
    if (alertRules.some(({ name }) => name === rule.name))
      refuse('alert-rules.json', [...path, 'name'], `${quoted(rule.name)} is there twice`);
    if (alertRules.length === MAX_ALERT_RULES)
      refuse('alert-rules.json', path, `a tenant may have ${MAX_ALERT_RULES}`);
    for (const [n, id] of (rule.customers ?? []).entries()) {
      if (!customerIds.get(tenant)!.has(id))
        refuse('alert-rules.json', [...path, 'customers', n], `${quoted(id)} is not in customers.json`);
    }
    alertRules.push(rule);
  }

  for (const [i, { tenant, ...meter }] of texts['meters.json'].meters.entries()) {
    const path = ['meters', i];
    const { meters } = tenantOf('meters.json', [...path, 'tenant'], tenant);
    const { faults } = checkNewMeter(meter);
    if (faults)
      refuse('meters.json', [...path, ...faults[0]!.pointer.split('/').slice(1)], faults[0]!.message);
    if (meters.some(({ slug }) => slug === meter.slug))
      refuse('meters.json', [...path, 'slug'], `${quoted(meter.slug)} is there twice`);
    if (meters.length === MAX_METERS) refuse('meters.json', path, `a tenant may have ${MAX_METERS}`);
    meters.push(meter);
  }

  const features = new Map<string, Feature>();
  for (const [i, feature] of allFeatures.entries()) {
    const { name } = feature;
    if (features.has(name)) refuse('traffic.json', ['features', i, 'name'], `${quoted(name)} is there twice`);
    features.set(name, feature);
  }
  const traffic = busy.map(({ tenant: id, weight, features: names, browsing }, i): TrafficTenant => {
    const path = ['tenants', i];
    const tenant = tenantOf('traffic.json', [...path, 'tenant'], id);
    const own = names.map(
      (name, n) =>
        features.get(name) ??
        refuse('traffic.json', [...path, 'features', n], `${quoted(name)} is not in features`),
    );
    if (busy.findIndex((other) => other.tenant === id) < i)
      refuse('traffic.json', [...path, 'tenant'], `${quoted(id)} is there twice`);
    if (new Set(names).size < names.length)
      refuse('traffic.json', [...path, 'features'], 'has a feature twice');
    if (!own.some((feature) => feature.weight > 0))
      refuse('traffic.json', [...path, 'features'], 'none of them has a weight above 0');
    if (!tenant.customers.some((customer) => customer.weight > 0))
      refuse('traffic.json', path, `no customer of ${quoted(id)} has a weight above 0`);
    for (const scope of TRAFFIC_SCOPES) {
      if (!tenant.keyScopes.includes(scope))
        refuse('traffic.json', path, `the key of ${quoted(id)} lacks the scope "${scope}"`);
    }
    return { ...tenant, weight, features: own, browsing };
  });
  for (const [i, { id }] of listed.entries()) {
    if (id !== firstStart && !busy.some(({ tenant }) => tenant === id))
      refuse(
        'tenants.json',
        ['tenants', i],
        `nothing makes ${quoted(id)}: it is not "firstStart" and has no traffic`,
      );
  }
  return { firstStart: first, traffic, profile };
}

const quoted = (id: string) => JSON.stringify(id);

function fault(folder: string, file: SeedFile, path: Path, what: string, cause?: unknown): StartupError {
  const pointer = path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
  const line = `${join(folder, file)}${pointer && ` ${pointer}`}: ${what}`;
  // Files may hold anything, and JSON.parse quotes them.
  return new StartupError(line.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ' '), { cause });
}

import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { StartupError } from '../../model/errors.ts';
import { readSeeds, SEEDS } from './readSeeds.ts';
import type { SeedFile } from './seedFiles.ts';

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function copy(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-seeds-'));
  folders.push(folder);
  await cp(SEEDS, folder, { recursive: true });
  return folder;
}

// biome-ignore lint/suspicious/noExplicitAny: a file, to be spoiled
type Json = any;

/** The seeds that come with the program, with one file changed. */
async function changed(file: SeedFile, change: (json: Json) => void): Promise<string> {
  const folder = await copy();
  const json = JSON.parse(await readFile(join(folder, file), 'utf8'));
  change(json);
  await writeFile(join(folder, file), JSON.stringify(json));
  return folder;
}

async function written(file: SeedFile, content: string | Uint8Array): Promise<string> {
  const folder = await copy();
  await writeFile(join(folder, file), content);
  return folder;
}

async function fault(folder: string): Promise<string> {
  const error = await readSeeds(folder).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(StartupError);
  expect(error.message).toMatch(/^[^\p{Cc}\p{Zl}\p{Zp}]+$/u);
  return error.message.replace(`${folder}/`, '');
}

test('what comes with the program is of one piece', async () => {
  const { firstStart, traffic, profile } = await readSeeds();
  expect(firstStart).toMatchObject({
    id: 'demo',
    name: 'Demo',
    keyScopes: ['ingest', 'read', 'correct', 'admin'],
  });
  expect(firstStart.customers.map(({ id }) => id)).toContain('acme'); // whom README's examples are about
  expect(firstStart.alertRules.length).toBeGreaterThan(0);
  expect(traffic.map(({ id }) => id)).toEqual(['northwind', 'globex', 'initech', 'hooli', 'umbrella']);
  for (const { customers, features } of traffic) {
    expect(customers.length).toBeGreaterThan(4);
    expect(features.length).toBeGreaterThan(1);
  }
  expect(profile).not.toHaveProperty('tenants');
  expect(profile.repeats.chance).toBeGreaterThan(0);
});

test('a folder of one own is read as well: what may be left out, a byte order mark, text of any kind', async () => {
  const folder = await copy();
  const rule = { tenant: 'é/~', name: 'r', kind: 'event', field: 'value', threshold: '+1.50e2' };
  const meter = {
    slug: 'gb',
    eventType: 'egress',
    aggregation: 'sum',
    value: '$.gb',
    dimensions: { r: '$.r' },
  };
  const files = {
    'tenants.json': {
      firstStart: 'é/~',
      tenants: [{ id: 'é/~', name: '猫', keyScopes: ['read', 'ingest'] }],
    },
    'customers.json': { customers: [{ tenant: 'é/~', id: '0' }] },
    'alert-rules.json': { alertRules: [rule] },
    'meters.json': { meters: [{ tenant: 'é/~', ...meter }] },
  };
  for (const [file, json] of Object.entries(files))
    await writeFile(join(folder, file), `\u{feff}${JSON.stringify(json)}`);
  const traffic = JSON.parse(await readFile(join(folder, 'traffic.json'), 'utf8'));
  traffic.tenants = [{ tenant: 'é/~', weight: 1, features: ['chat'], browsing: 1 }];
  await writeFile(join(folder, 'traffic.json'), JSON.stringify(traffic));
  const tenant = {
    id: 'é/~',
    name: '猫',
    keyScopes: ['read', 'ingest'],
    customers: [{ id: '0', name: null, weight: 1 }],
    alertRules: [{ name: 'r', kind: 'event', field: 'value', threshold: '150' }],
    meters: [meter],
  };
  const seeds = await readSeeds(folder);
  expect(seeds.firstStart).toEqual(tenant);
  expect(seeds.traffic).toEqual([{ ...tenant, weight: 1, features: [traffic.features[0]], browsing: 1 }]);
  await rm(join(folder, 'meters.json')); // a folder of before there were meters
  expect((await readSeeds(folder)).firstStart).toEqual({ ...tenant, meters: [] });
});

describe('one line says what is wrong: the file, the place, the reason', () => {
  /** What is changed in a file (a pointer, and what stands there then; undefined: nothing), and what is said of it. */
  const SPOILT: [SeedFile, Record<string, unknown>, string][] = [
    ['tenants.json', { '/tenants/1/colour': 'red' }, '/tenants/1/colour: there is no such field'],
    ['tenants.json', { '/a~1b~0c\n': 1 }, '/a~1b~0c : there is no such field'],
    ['tenants.json', { '/tenants': [] }, '/tenants: Too small'],
    ['tenants.json', { '/tenants': {} }, '/tenants: Invalid input: expected array'],
    ['tenants.json', { '/tenants/0/name': undefined }, '/tenants/0/name: Invalid input: expected string'],
    ['tenants.json', { '/tenants/0/id': 'x'.repeat(245) }, '/tenants/0/id: Too big'],
    ['tenants.json', { '/tenants/0/name': 'a\0b' }, '/tenants/0/name: must not contain NUL'],
    ['tenants.json', { '/tenants/0/name': '\ud800' }, '/tenants/0/name: must not contain NUL or unpaired'],
    ['tenants.json', { '/tenants/1/keyScopes/1': 'write' }, '/tenants/1/keyScopes/1: Invalid option'],
    ['tenants.json', { '/tenants/1/keyScopes': [] }, '/tenants/1/keyScopes: Too small'],
    ['tenants.json', { '/tenants/1/keyScopes/1': 'ingest' }, '/tenants/1/keyScopes: has a scope twice'],
    ['tenants.json', { '/tenants/2/id': 'northwind' }, '/tenants/2/id: "northwind" is there twice'],
    ['tenants.json', { '/firstStart': 'none' }, '/firstStart: "none" is not in tenants.json'],
    ['tenants.json', { '/firstStart': 'hooli' }, '/tenants/0: nothing makes "demo"'],
    [
      'tenants.json',
      { '/tenants/0/name': 1, '/tenants/1/name': '' },
      '/tenants/0/name: Invalid input: expected string, received number (and 1 more)',
    ],

    ['meters.json', { '/meters/0/tenant': 'none' }, '/meters/0/tenant: "none" is not in tenants.json'],
    ['meters.json', { '/meters/0/slug': 'A b' }, '/meters/0/slug: must be lower-case letters'],
    ['meters.json', { '/meters/0/unit': 'GB' }, '/meters/0/unit: there is no such field'],
    ['meters.json', { '/meters/0/value': 'tokens' }, '/meters/0/value: is no JSONPath'],
    ['meters.json', { '/meters/2/slug': 'output_tokens' }, '/meters/2/slug: "output_tokens" is there twice'],
    ['customers.json', { '/customers': [] }, '/customers: Too small'],
    ['customers.json', { '/customers/3/weight': -1 }, '/customers/3/weight: Too small'],
    ['customers.json', { '/customers/3/weight': '1' }, '/customers/3/weight: Invalid input: expected number'],
    ['customers.json', { '/customers/3/weight': 1e10 }, '/customers/3/weight: Too big'],
    ['customers.json', { '/customers/3/id': 'customer-02' }, '/customers/4/id: "customer-02" is there twice'],
    [
      'customers.json',
      { '/customers/3/tenant': 'none' },
      '/customers/3/tenant: "none" is not in tenants.json',
    ],
    ['customers.json', { '/customers/3/name': '' }, '/customers/3/name: Too small'],
    ['customers.json', { '/customers/3/wieght': 1 }, '/customers/3/wieght: there is no such field'],

    ['alert-rules.json', { '/alertRules/3/measure': 'latencyMs' }, '/alertRules/3/measure: Invalid option'],
    ['alert-rules.json', { '/alertRules/3/period': 'week' }, '/alertRules/3/period: Invalid option'],
    ['alert-rules.json', { '/alertRules/2/field': 'metadata' }, '/alertRules/2/field: Invalid option'],
    ['alert-rules.json', { '/alertRules/3/kind': 'sum' }, '/alertRules/3/kind: Invalid'],
    ['alert-rules.json', { '/alertRules/3/field': 'tokens' }, '/alertRules/3/field: there is no such field'],
    [
      'alert-rules.json',
      { '/alertRules/3/measure': 'cost' },
      '/alertRules/3/currency: is required with cost',
    ],
    ['alert-rules.json', { '/alertRules/3/currency': 'USD' }, '/alertRules/3/currency: goes with cost alone'],
    [
      'alert-rules.json',
      { '/alertRules/3/currency': 'usd' },
      '/alertRules/3/currency: must be three capital',
    ],
    [
      'alert-rules.json',
      { '/alertRules/3/threshold': 'much' },
      '/alertRules/3/threshold: must be a decimal of',
    ],
    [
      'alert-rules.json',
      { '/alertRules/3/threshold': '1'.repeat(21) },
      '/alertRules/3/threshold: must be a decimal of at most 38 digits',
    ],
    [
      'alert-rules.json',
      { '/alertRules/3/threshold': 1e6 },
      '/alertRules/3/threshold: must be a decimal in quotes',
    ],
    ['alert-rules.json', { '/alertRules/3/name': undefined }, '/alertRules/3/name: Invalid input'],
    [
      'alert-rules.json',
      { '/alertRules/3/name': 'slower than 10 s' },
      '/alertRules/4/name: "slower than 10 s" is there twice',
    ],
    [
      'alert-rules.json',
      { '/alertRules/3/customers': ['customer-01', 'nobody'] },
      '/alertRules/3/customers/1: "nobody" is not in customers.json',
    ],
    [
      'alert-rules.json',
      { '/alertRules/3/customers': ['acme'] }, // of another tenant
      '/alertRules/3/customers/0: "acme" is not in customers.json',
    ],
    ['alert-rules.json', { '/alertRules/3/customers': [] }, '/alertRules/3/customers: Too small'],
    [
      'alert-rules.json',
      { '/alertRules/3/tenant': 'none' },
      '/alertRules/3/tenant: "none" is not in tenants',
    ],

    ['traffic.json', { '/late/chance': 1.01 }, '/late/chance: Too big'],
    ['traffic.json', { '/bursts/chance': -0.1 }, '/bursts/chance: Too small'],
    ['traffic.json', { '/late/maxDelayMs': 86_400_001 }, '/late/maxDelayMs: Too big'],
    ['traffic.json', { '/requests/maxEvents': 1.5 }, '/requests/maxEvents: Invalid input: expected int'],
    ['traffic.json', { '/day/peakHour': 24 }, '/day/peakHour: Too big'],
    ['traffic.json', { '/features/0/inputTokens/median': -1 }, '/features/0/inputTokens/median: Too small'],
    ['traffic.json', { '/features/0/inputTokens/sigma': 6 }, '/features/0/inputTokens/sigma: Too big'],
    ['traffic.json', { '/sessions': undefined }, '/sessions: Invalid input: expected object'],
    ['traffic.json', { '/features': [] }, '/features: Too small'],
    ['traffic.json', { '/features/2/name': 'chat' }, '/features/2/name: "chat" is there twice'],
    [
      'traffic.json',
      { '/tenants/0/features/1': 'telepathy' },
      '/tenants/0/features/1: "telepathy" is not in',
    ],
    ['traffic.json', { '/tenants/0/features/1': 'chat' }, '/tenants/0/features: has a feature twice'],
    [
      'traffic.json',
      { '/features/1/weight': 0, '/features/4/weight': 0 },
      '/tenants/2/features: none of them has a weight above 0',
    ],
    ['traffic.json', { '/tenants/0/weight': 0 }, '/tenants/0/weight: Too small'],
    ['traffic.json', { '/tenants/0/tenant': 'none' }, '/tenants/0/tenant: "none" is not in tenants.json'],
    ['traffic.json', { '/tenants/1/tenant': 'northwind' }, '/tenants/1/tenant: "northwind" is there twice'],
    ['traffic.json', { '/tenants': [] }, '/tenants: Too small'],
  ];
  test.each(SPOILT)('%s %j', async (file, changes, expected) => {
    const folder = await changed(file, (json) => {
      for (const [pointer, value] of Object.entries(changes)) put(json, pointer, value);
    });
    expect(await fault(folder)).toContain(`${file} ${expected}`);
  });

  test('no customer to draw, and a key that may not do what is needed', async () => {
    const weightless = await changed('customers.json', ({ customers }) => {
      for (const customer of customers) if (customer.tenant === 'globex') customer.weight = 0;
    });
    expect(await fault(weightless)).toBe(
      'traffic.json /tenants/1: no customer of "globex" has a weight above 0',
    );
    const readOnly = await changed('tenants.json', (json) => put(json, '/tenants/2/keyScopes', ['read']));
    expect(await fault(readOnly)).toBe(
      'traffic.json /tenants/1: the key of "globex" lacks the scope "ingest"',
    );
  });

  test('more alert rules than a tenant may have', async () => {
    const folder = await changed('alert-rules.json', (json) => {
      const [rule] = json.alertRules;
      json.alertRules = Array.from({ length: 101 }, (_, i) => ({ ...rule, name: `${i}` }));
    });
    expect(await fault(folder)).toBe('alert-rules.json /alertRules/100: a tenant may have 100');
  });

  const CONTENTS: [string, string | Uint8Array, string][] = [
    ['nothing', '', 'is not JSON: Unexpected end'],
    ['something else', 'tenants:\n  - id: demo\n', 'is not JSON: '],
    ['half of it', '{"tenants": [', 'is not JSON: '],
    ['a list', '[]', 'Invalid input: expected object'],
    ['null', 'null', 'Invalid input: expected object'],
    ['a comment', '{} // nothing', 'is not JSON: '],
    ['no UTF-8', Uint8Array.of(0x7b, 0xff, 0x7d), 'is not UTF-8'],
    ['UTF-16', Buffer.from('\ufeff{}', 'utf16le'), 'is not UTF-8'],
  ];
  test.each(CONTENTS)('a file with %s', async (_, content, expected) => {
    expect(await fault(await written('tenants.json', content))).toContain(`tenants.json: ${expected}`);
  });

  test('a number that is too large to be one', async () => {
    const text = await readFile(join(SEEDS, 'customers.json'), 'utf8');
    const huge = text.replace('"weight": 0.5 ', '"weight": 1e999 ');
    expect(huge).not.toBe(text);
    expect(await fault(await written('customers.json', huge))).toContain(
      'customers.json /customers/4/weight: Invalid input: expected number, received Infinity',
    );
  });

  test('a file that is missing, is a folder, or lies in no folder', async () => {
    const folder = await copy();
    await rm(join(folder, 'alert-rules.json'));
    expect(await fault(folder)).toBe('alert-rules.json: there is no such file');
    await mkdir(join(folder, 'alert-rules.json'));
    expect(await fault(folder)).toBe('alert-rules.json: is a folder');
    expect(await fault(join(folder, 'none'))).toMatch(/tenants.json: there is no such file$/);
    expect(await fault(join(folder, 'traffic.json'))).toMatch(/tenants.json: there is no such file$/);
  });
});

/** Sets what a pointer (RFC 6901) leads to; undefined takes it away. */
function put(json: Json, pointer: string, value: unknown): void {
  const keys = pointer
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  const last = keys.pop()!;
  const parent = keys.reduce((inner, key) => inner[key], json);
  if (value === undefined) delete parent[last];
  else parent[last] = value;
}

test.each([' north', 'north ', 'north\n', 'no\u0085rth'])(
  'a tenant %j, which no header field can name, is refused',
  async (id) => {
    const folder = await changed('tenants.json', (json) => {
      json.tenants[1].id = id;
    });
    expect(await fault(folder)).toMatch(
      /^tenants.json \/tenants\/1\/id: must not contain control characters/,
    );
  },
);

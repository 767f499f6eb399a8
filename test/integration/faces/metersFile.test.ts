import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { applyMetersFile, readMetersFile } from '../../../src/faces/service/metersFile.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { StartupError } from '../../../src/model/errors.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';

describeEngine('METERS_FILE', () => {
  let t: TestService;
  let folder: string;
  let file: string;
  let tenant: string;
  let key: string;
  beforeAll(async () => {
    t = await startTestService({ METERS_PER_TENANT: '3' });
    folder = await mkdtemp(join(tmpdir(), 'tidemark-meters-'));
    file = join(folder, 'meters.json');
  });
  afterAll(async () => {
    await t.stop();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    ({ id: tenant, key } = await t.tenant());
  });

  const start = async (content: unknown) => {
    await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
    const config = { ...t.config, meters: { ...t.config.meters, file } };
    await applyMetersFile(
      config,
      await readMetersFile(file),
      t.database.url,
      createLogger({ logLevel: 'silent' }),
    );
  };
  const refused = async (content: unknown): Promise<string> => {
    const error = await start(content).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(StartupError);
    expect(error.message).toMatch(/^METERS_FILE [^\p{Cc}]+$/u);
    return error.message.replace(`METERS_FILE ${file} `, '');
  };
  const meters = async (query = '') => (await t.call('GET', `/v1/meters${query}`, { key })).body.data;
  const log = async () =>
    (await t.call('GET', `/v1/audit-log?tenantId=${tenant}`)).body.data.filter(
      ({ action }: { action: string }) => action.startsWith('meter.'),
    );
  const egress = () => ({
    tenant,
    slug: 'egress_gb',
    eventType: 'egress',
    aggregation: 'sum',
    value: '$.gb',
  });

  it('makes what is missing, and a second start changes nothing', async () => {
    const calls = { tenant, slug: 'calls', name: 'Calls', eventType: 'egress', aggregation: 'count' };
    const content = {
      $schema: './x.json',
      meters: [{ ...egress(), filter: [{ path: '$.ok', equals: true }] }, calls],
    };
    await start(content);
    const made = await meters();
    expect(made).toMatchObject([
      { slug: 'egress_gb', name: 'egress_gb' },
      { slug: 'calls', name: 'Calls' },
    ]);
    expect(await log()).toMatchObject([
      { action: 'meter.created', actor: { kind: 'command' } },
      { action: 'meter.created', actor: { kind: 'command' } },
    ]);
    await start(content);
    expect((await meters()).map(({ fill: _, ...meter }: { fill: object }) => meter)).toEqual(
      made.map(({ fill: _, ...meter }: { fill: object }) => meter),
    );
    expect(await log()).toHaveLength(2);
  });

  it('changes what may be changed, and leaves what it does not say', async () => {
    await start({ meters: [{ ...egress(), name: 'Egress', description: 'first' }] });
    await t.call('PATCH', '/v1/meters/egress_gb', {
      key,
      body: { name: 'Ours', dimensions: { plan: '$.plan' } },
    });
    await start({
      meters: [{ ...egress(), value: "$['gb']", description: null, dimensions: { region: '$.region' } }],
    });
    expect(await meters()).toMatchObject([
      { name: 'Ours', description: null, value: '$.gb', dimensions: { plan: '$.plan', region: '$.region' } },
    ]);
    await start({ meters: [] });
    expect(await meters()).toHaveLength(1);
    await start({ meters: [{ ...egress(), name: 'Egress' }] });
    expect(await meters()).toMatchObject([{ name: 'Egress' }]);
  });

  it('archives only what it says is archived', async () => {
    await start({ meters: [egress(), { ...egress(), slug: 'gone', archived: true }] });
    expect(await meters('?archived=true')).toHaveLength(1);
    await start({ meters: [{ ...egress(), archived: true }] });
    await start({ meters: [{ ...egress(), archived: true }] });
    expect(await meters()).toEqual([]);
    expect(await meters('?archived=true')).toHaveLength(1);
    expect((await log()).map(({ action }: { action: string }) => action)).toEqual([
      'meter.archived',
      'meter.created',
    ]);
    await start({ meters: [{ ...egress(), archived: false }] });
    expect(await meters()).toHaveLength(1);
  });

  it('does not archive what alert rules compare', async () => {
    await start({ meters: [egress()] });
    const body = { kind: 'usage', meter: 'egress_gb', period: 'day', threshold: 1 };
    const rule = (await t.call('POST', '/v1/alert-rules', { key, body })).body.id;
    const archived = { meters: [{ ...egress(), archived: true }] };
    const withAnother = { meters: [{ ...egress(), slug: 'other' }, ...archived.meters] };
    expect(await refused(withAnother)).toBe(
      '/meters/1/archived: alert rules compare the meter egress_gb: delete them first',
    );
    expect(await meters()).toHaveLength(1);
    expect((await t.call('DELETE', `/v1/alert-rules/${rule}`, { key })).status).toBe(204);
    await start(archived);
    expect(await meters()).toEqual([]);
  });

  it('refuses what contradicts a meter, and then does nothing at all', async () => {
    await start({ meters: [egress()] });
    const other = { ...egress(), slug: 'other' };
    const contradictions: [object, string][] = [
      [{ aggregation: 'max' }, 'aggregation'],
      [{ value: '$.mb' }, 'value'],
      [{ eventType: 'ingress' }, 'eventType'],
      [{ eventFrom: '2026-01-01T00:00:00Z' }, 'eventFrom'],
      [{ filter: [{ path: '$.ok', equals: true }] }, 'filter'],
    ];
    for (const [change, member] of contradictions) {
      expect(await refused({ meters: [other, { ...egress(), ...change }] })).toMatch(
        `/meters/1/${member}: the meter "egress_gb" of "${tenant}" is there with another one`,
      );
    }
    await start({ meters: [{ ...egress(), dimensions: { region: '$.region' } }] });
    expect(await refused({ meters: [{ ...egress(), dimensions: { region: '$.zone' } }] })).toMatch(
      '/meters/0/dimensions/region: is there already, with another path',
    );
    expect(await meters()).toHaveLength(1);
  });

  it('says in one line what is wrong with it, and where', async () => {
    const faults: [unknown, string | RegExp][] = [
      ['{', /^is not JSON: /],
      ['[]', 'the document: must be an object'],
      [{}, '/meters: must be an array'],
      [{ meters: [], more: 1 }, '/more: there is no such field'],
      [{ meters: [5] }, '/meters/0: must be an object'],
      [{ meters: [{ ...egress(), tenant: undefined }] }, '/meters/0/tenant: must be the id of a tenant'],
      [{ meters: [{ ...egress(), tenant: 'nobody' }] }, '/meters/0/tenant: there is no tenant "nobody"'],
      [{ meters: [{ ...egress(), archived: 'yes' }] }, '/meters/0/archived: must be true or false'],
      [{ meters: [egress(), egress()] }, '/meters/1/slug: "egress_gb" is there twice'],
      [{ meters: [{ ...egress(), unit: 'GB' }] }, '/meters/0/unit: is no part of a meter'],
      [{ meters: [{ ...egress(), value: 'gb', slug: 'A' }] }, /^\/meters\/0\/slug: .* \(and 1 more\)$/],
    ];
    for (const [content, message] of faults) expect(await refused(content)).toMatch(message);
    await writeFile(file, new Uint8Array([0xff]));
    await expect(readMetersFile(file)).rejects.toThrow('is not UTF-8');
    const missing = readMetersFile(join(folder, 'nothing.json'));
    await expect(missing).rejects.toThrow(StartupError);
    await expect(missing).rejects.toThrow(/there is no such file$/);
    expect(await meters()).toEqual([]);
  });

  it('says when there are more than there may be', async () => {
    const four = ['a', 'b', 'c', 'd'].map((slug) => ({ ...egress(), slug }));
    const told = 'a tenant may have 3 meters that are not archived';
    expect(await refused({ meters: four })).toBe(`/meters/3: ${told}`);
    expect(await meters()).toEqual([]);
    await start({ meters: four.slice(0, 3) });
    expect(await refused({ meters: [four[3]] })).toBe(`/meters/0: ${told}`);
    await start({ meters: [four[3], { ...four[0], archived: true }] }); // which makes room
    expect((await meters()).map(({ slug }: { slug: string }) => slug)).toEqual(['b', 'c', 'd']);
  });

  it('of several instances at once makes each once', async () => {
    const config = { ...t.config, meters: { ...t.config.meters, file } };
    const silent = createLogger({ logLevel: 'silent' });
    const document = { meters: [egress()] };
    await Promise.all(
      Array.from({ length: 4 }, () => applyMetersFile(config, document, t.database.url, silent)),
    );
    expect(await meters()).toHaveLength(1);
    expect(await log()).toHaveLength(1);
  });
});

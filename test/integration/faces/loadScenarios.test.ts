import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { openAccess } from '../../../artillery/access.ts';
import type { Ledger } from '../../../artillery/ledger.ts';
import type { Context, Request, Response } from '../../../artillery/processor.ts';
import { readRun } from '../../../artillery/readRun.ts';
import { readScenario, scenarioNames } from '../../../artillery/scenario.ts';
import { verify } from '../../../artillery/verify.ts';
import { listen } from '../../../src/faces/http/server.ts';
import { CLOSED_BY_HAND, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { ADMIN_KEY, startTestService, type TestService } from '../../support/service.ts';

/*
 * The scenarios of artillery/, walked step by step by a few users each, without Artillery: what they send and expect
 * is right, and what they compare is enough to find faults.
 */

const WINDOW = 30_000;
const USERS = 2;

interface Step {
  post?: Call;
  get?: Call;
  loop?: Step[];
  count?: number;
  parallel?: Step[];
  think?: number;
}
interface Call {
  url: string;
  beforeRequest?: string;
  afterResponse?: string;
}
interface File {
  config: {
    variables: Context['vars'];
    phases: { name?: string; arrivalRate: number }[];
    ensure: { conditions: { expression: string }[]; thresholds: Record<string, number>[] };
  };
  scenarios: { weight?: number; beforeScenario?: string; flow: Step[] }[];
}

const files = scenarioNames().map((name) => {
  return { name, file: parse(readFileSync(readScenario(name).file, 'utf8')) as File };
});

type Hook = (...args: unknown[]) => Promise<void>;
// Its journal is a file of this process: where, is read at its first line.
const folder = mkdtempSync(join(tmpdir(), 'tidemark-load-'));
process.env.TIDEMARK_JOURNAL = folder;
const functions = (await import('../../../artillery/processor.ts')) as unknown as Record<string, Hook>;

describeEngine('load scenarios', () => {
  let t: TestService;
  let key: string;
  beforeAll(async () => {
    t = await startTestService(CLOSED_BY_HAND);
    key = (await t.tenant()).key;
  });
  afterAll(async () => {
    await t.stop();
    rmSync(folder, { recursive: true });
  });

  const emitted = new Map<string, number>();
  const emitter = {
    emit(_: string, name: string, value: number) {
      emitted.set(name, (emitted.get(name) ?? 0) + value);
    },
  };

  async function walk(steps: Step[], context: Context): Promise<void> {
    for (const step of steps) {
      const { post, get, loop, count = 1, parallel, think } = step;
      if (post ?? get) await call(post ? 'POST' : 'GET', (post ?? get)!, context);
      else if (parallel) await Promise.all(parallel.map((each) => walk([each], context)));
      else if (loop) for (let i = 0; i < count; i++) await walk(loop, context);
      else if (think !== undefined) {
        if (think > 1) await closeUpTo(t.sql, Math.floor(Date.now() / WINDOW) * WINDOW + WINDOW);
      } else throw new Error(`what is ${JSON.stringify(step)}?`);
    }
  }

  async function call(method: string, { url, beforeRequest, afterResponse }: Call, context: Context) {
    const request: Request = {};
    await functions[beforeRequest!]!(request, context, emitter);
    const vars = context.vars as Record<string, unknown>;
    const path = url.replaceAll(/\{\{ (\w+) \}\}/g, (_, name) => String(vars[name]));
    const { status, body } = await t.call(method, path, { key, body: request.body, ...request });
    const response: Response = { statusCode: status, body: JSON.stringify(body) };
    await functions[afterResponse!]!(request, response, context, emitter);
  }

  /** Users of a scenario, one after the other. @returns what the journal says that it did not before. */
  async function users({ config, scenarios }: File, run: string, count: number) {
    process.env.TIDEMARK_RUN = run;
    for (const { beforeScenario, flow } of scenarios) {
      for (let user = 0; user < count; user++) {
        const context: Context = { vars: { ...config.variables } };
        if (beforeScenario) await functions[beforeScenario]!(context, emitter);
        await walk(flow, context);
      }
    }
    const { ledger, misread } = await readRun(folder);
    for (const customer of ledger.customers.keys()) {
      if (!customer.startsWith(`${run}-`)) ledger.customers.delete(customer);
    }
    return { ledger, misread };
  }

  const client = {
    async list<Row>(path: string): Promise<Row[]> {
      const { status, body } = await t.call('GET', path, { key });
      expect(status, JSON.stringify(body)).toBe(200);
      expect(body.nextCursor).toBeNull();
      return body.data;
    },
  };
  const compared = async (ledger: Ledger) => (await verify(client, ledger)).differences;

  it.each(files)(
    '$name: what is acknowledged is counted, at once and when closed',
    async ({ name, file }) => {
      const { ledger, misread } = await users(file, `load-${name}`, USERS);
      expect(misread).toEqual([]);
      expect(ledger).toMatchObject({ contradictions: [], refused: 0, unanswered: 0 });
      expect(ledger.total('acknowledged').calls).toBeGreaterThan(0);
      expect(await compared(ledger)).toEqual([]);
      await closeUpTo(t.sql, Math.floor(Date.now() / WINDOW) * WINDOW + WINDOW);
      expect(await compared(ledger)).toEqual([]);
    },
  );

  it('late events are found in revisions', async () => {
    const { file } = files.find(({ name }) => name === 'lateAndDuplicates')!;
    const { ledger } = await users(file, 'load-revisions', 1);
    const { windows } = await verify(client, ledger);
    expect(windows.revised).toBeGreaterThan(1);
    expect(ledger.duplicates).toBeGreaterThan(0);
  });

  it('an event that is lost is found', async () => {
    const { file } = files.find(({ name }) => name === 'smoke')!;
    const { ledger } = await users(file, 'load-lost', 1);
    expect(await compared(ledger)).toEqual([]);
    const { rows } = await t.sql.query(
      `delete from event where customer_id like 'load-lost-%'
         and event_id = (select min(event_id::text)::uuid from event where customer_id like 'load-lost-%')
       returning 1`,
    );
    expect(rows).toHaveLength(1);
    const differences = await compared(ledger);
    expect(differences.map(({ source }) => source)).toContain('events');
  });

  it('a read that lacks something is told', async () => {
    const { file } = files.find(({ name }) => name === 'mixed')!;
    const before = emitted.get('tidemark.wrong_reads') ?? 0;
    const { call } = t;
    t.call = async (...args) => {
      const answer = await call(...args);
      const [first] = answer.body.data ?? [];
      if (args[1].startsWith('/v1/usage') && first) first.calls--;
      return answer;
    };
    try {
      const { misread } = await users(file, 'load-misread', 1);
      expect(misread[0]).toMatch(/^usage 30s of load-misread-\S+ at \S+: calls 19, acknowledged 20$/);
      expect(emitted.get('tidemark.wrong_reads')).toBeGreaterThan(before);
    } finally {
      t.call = call;
    }
  });

  describe('access', () => {
    let url: string;
    let server: Awaited<ReturnType<typeof listen>>;
    beforeAll(async () => {
      server = await listen(t.service.app, '127.0.0.1', 0, t.config.http.limits);
      url = server.address;
    });
    afterAll(() => server.close(1_000));

    const open = (env: NodeJS.ProcessEnv) => openAccess({ TIDEMARK_URL: url, ...env }, folder, 'load-access');

    it('makes a tenant with the admin key, and ends what it made', async () => {
      const { key: made, source, close } = await open({ ADMIN_KEY });
      expect(source).toContain('load-access');
      expect((await t.call('GET', '/v1/windows', { key: made })).status).toBe(200);
      await close();
      expect((await t.call('GET', '/v1/windows', { key: made })).body.code).toBe('key_revoked');
      const { body } = await t.call('GET', '/v1/tenants?limit=1000');
      expect(body.data.find(({ id }: { id: string }) => id === 'load-access').active).toBe(false);
    });

    it('uses the demo key of a local installation, and no other', async () => {
      writeFileSync(join(folder, 'keys.json'), JSON.stringify({ demoKey: key }));
      try {
        expect((await open({ DATA_DIR: folder })).key).toBe(key);
      } finally {
        rmSync(join(folder, 'keys.json'));
      }
      await expect(open({ DATA_DIR: folder })).rejects.toThrow('no key');
    });

    it('says what is wrong with a key', async () => {
      await expect(open({ TIDEMARK_KEY: 'tm_wrong' })).rejects.toThrow(/TIDEMARK_KEY.* is not right .*401/);
      await expect(open({ TIDEMARK_KEY: ADMIN_KEY })).rejects.toThrow('tenant_required');
      await expect(open({ ADMIN_KEY: key })).rejects.toThrow('ADMIN_KEY is not a platform key here');
      const { body } = await t.call('POST', '/v1/keys', { key, body: { scopes: ['read'] } });
      await expect(open({ TIDEMARK_KEY: body.key })).rejects.toThrow('scope_missing');
    });
  });

  describe('files', () => {
    it.each(files)('$name posts at its rate', async ({ name, file }) => {
      const { config, scenarios } = file;
      if (config.variables.eventsPerSecond === undefined) return;
      const weights = scenarios.reduce((sum, { weight = 1 }) => sum + weight, 0);
      let perUser = 0;
      for (const [i, scenario] of scenarios.entries()) {
        const { ledger } = await users({ ...file, scenarios: [scenario] }, `load-rate-${name}-${i}`, 1);
        let events = 0;
        for (const windows of ledger.customers.values()) {
          for (const { acknowledged } of windows.values()) events += acknowledged.calls;
        }
        perUser += (events * (scenario.weight ?? 1)) / weights;
      }
      const { arrivalRate } = config.phases.find((phase) => phase.name === 'measured')!;
      expect(perUser * arrivalRate).toBeGreaterThanOrEqual(config.variables.eventsPerSecond);
    });

    it.each(files)('$name requires only what is there', ({ file: { config } }) => {
      const text = config.ensure.conditions.map(({ expression }) => expression).join(' ');
      const counters = text.match(/tidemark\.\w+/g) ?? [];
      const histograms = config.ensure.thresholds.flatMap((threshold) => Object.keys(threshold));
      for (const name of [...counters, ...histograms.map((name) => name.replace(/\.p\d+$/, ''))]) {
        expect(emitted.keys()).toContain(name);
      }
    });
  });
});

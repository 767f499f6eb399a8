import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../src/ground/local/freePort.ts';
import { processStart } from '../../src/ground/local/processes.ts';
import { buildProgram } from '../support/buildProgram.ts';
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/database.ts';
import { runFolder } from '../support/runFolder.ts';
import { until } from '../support/service.ts';
import { anEvent } from '../support/traffic.ts';
import { fillBig, RANGE } from './describeBigExport.ts';
import type { RunCommand } from './support/commandHere.ts';
import { type Program, runProgram } from './support/runProgram.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ADMIN_KEY = 'tm_admin_key_of_the_process_tests';
/** Enough that an export takes a while. */
const EVENTS = 80_000;

/**
 * The one program, as it is built: what each command prints, and its exit code. `runCommand` is for commands of which
 * only these count; those that serve or are interrupted are processes in any case.
 */
export function describeCommands(runCommand: RunCommand): void {
  let database: TestDatabase;
  let folder: string;
  let sql: pg.Client;
  const programs: Program[] = [];

  beforeAll(async () => {
    await buildProgram();
    database = await createTestDatabase();
    folder = await mkdtemp(join(await runFolder(), 'cli-'));
    sql = new pg.Client(database.url);
    sql.on('error', () => undefined);
    await sql.connect();
    await fillBig(sql, EVENTS);
  });
  afterEach(async () => {
    for (const { child, exited } of programs.splice(0)) {
      child.kill('SIGKILL');
      await exited;
    }
  });
  afterAll(async () => {
    await sql?.end();
    await database?.drop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  function start(args: string[], env: Record<string, string> = {}): Program {
    const program = runProgram(args, {
      DATABASE_URL: database.url,
      DATA_DIR: join(folder, 'data'),
      ...env,
    });
    programs.push(program);
    return program;
  }

  const run = (args: string[], env: Record<string, string> = {}) =>
    runCommand(args, { DATABASE_URL: database.url, DATA_DIR: join(folder, 'data'), ...env });

  async function serve(url = database.url): Promise<{ address: string; program: Program }> {
    const program = start(['serve'], { DATABASE_URL: url, TIDEMARK_PROFILE: 'test', ADMIN_KEY, PORT: '0' });
    const [address] = await program.says(/"address":"([^"]+)".*"listening"/);
    return { address: address!, program };
  }

  describe('the command line', () => {
    test('no database: exit code 1 and one line without the password', async () => {
      const env = { DATABASE_URL: 'postgres://nobody:secret@127.0.0.1:1/none' };
      for (const args of [['serve'], ['migrate'], ['keys', 'list'], ['export', 'events', ...RANGE]]) {
        const program = args[0] === 'serve' ? start(args, env) : undefined;
        const { code, out, err } = program
          ? { code: await program.exited, out: program.stdout(), err: program.stderr() }
          : await run(args, env);
        // A start says what it is at.
        const said = program ? '  Making the schema, or bringing it up to date …\n' : '';
        expect({ args, code, out }).toEqual({ args, code: 1, out: said });
        expect(err).toBe(
          'tidemark: the database at 127.0.0.1:1/none cannot be used: nothing answers there\n',
        );
      }
      const doctor = await run(['doctor'], env);
      expect(doctor).toMatchObject({ code: 1, err: '' });
      expect(doctor.out).toMatch(
        /^fail {2}database {7}127\.0\.0\.1:1\/none: nothing answers there\n {21}→ /m,
      );
      expect(doctor.out).not.toContain('secret');
    });

    test('a schema that is not there is not made by looking', async () => {
      const empty = await createEmptyDatabase();
      try {
        for (const args of [
          ['keys', 'list'],
          ['export', 'events', ...RANGE],
        ]) {
          expect(await run(args, { DATABASE_URL: empty.url })).toEqual({
            code: 1,
            out: '',
            err: 'tidemark: the schema of the database is not up to date: run "tidemark migrate"\n',
          });
        }
        const doctor = await run(['doctor'], { DATABASE_URL: empty.url });
        expect(doctor.out).toMatch(/^fail {2}schema .*no schema yet\n.*run "tidemark migrate"/m);
      } finally {
        await empty.drop();
      }
    });

    test('doctor names a configuration that is wrong, and a local database that does not run', async () => {
      const wrong = await run(['doctor', '--json'], { PORT: 'http' });
      expect(wrong.code).toBe(1);
      expect(JSON.parse(wrong.out).findings).toMatchObject([{ check: 'configuration', status: 'fail' }]);
      const none = await run(['doctor'], { DATABASE_URL: '' });
      expect(none.code).toBe(1);
      expect(none.out).toContain('does not run');
      expect(await readdir(folder)).not.toContain('data');
    });
  });

  describe('serve', () => {
    test('as `npx` starts it: it ends in order when the shell in between is ended', async () => {
      const shell = spawn('sh', ['-c', `"$0" bin/tidemark.js serve & echo $!; wait`, process.execPath], {
        cwd: ROOT,
        env: {
          PATH: process.env.PATH,
          npm_command: 'exec',
          TIDEMARK_PROFILE: 'test',
          DATABASE_URL: database.url,
          ADMIN_KEY,
          PORT: '0',
        },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      shell.stdout.on('data', (chunk) => (said += chunk));
      await until(() => said.includes('"listening"'), 60_000);
      const pid = Number(/^(\d+)$/m.exec(said)![1]);
      const ended = once(shell, 'exit');
      shell.kill('SIGTERM');
      await ended;
      await until(async () => (await processStart(pid)) === undefined);
      expect(said).toContain('"signal":"SIGTERM"');
      expect(said).toContain('"msg":"stopped"');
    });
  });

  describe('keys', () => {
    test('made, listed, replaced and revoked; in the audit log, and known to an instance that runs', async () => {
      const { address } = await serve();
      const tried = async (key: string) => {
        const response = await fetch(`${address}/v1/usage`, { headers: { authorization: `Bearer ${key}` } });
        await response.arrayBuffer();
        return response.status;
      };
      const made = await run(['keys', 'create', '--tenant', 'big', '--scopes', 'read', '--scopes', 'ingest']);
      expect(made).toMatchObject({ code: 0, err: 'the key is shown here and never again\n' });
      const key = /^key +(tm_\S+)$/m.exec(made.out)![1]!;
      const id = /^id +(\S+)$/m.exec(made.out)![1]!;
      expect(made.out).toMatch(/^tenant +big\nscopes +read, ingest\nexpires +never$/m);
      expect(await tried(key)).toBe(200);

      const rotated = await run(['keys', 'rotate', id, '--tenant', 'big', '--overlap', '0s', '--json']);
      expect(rotated.code).toBe(0);
      const next = JSON.parse(rotated.out);
      expect(next).toMatchObject({ tenantId: 'big', scopes: ['read', 'ingest'], replaces: id });
      expect(await tried(next.key)).toBe(200);
      await until(async () => (await tried(key)) === 401);

      const platform = await run([
        'keys',
        'create',
        '--platform',
        '--scopes',
        'admin',
        '--expires',
        '90d',
        '--json',
      ]);
      expect(JSON.parse(platform.out)).toMatchObject({ tenantId: null, scopes: ['admin'] });
      const revoked = await run(['keys', 'revoke', next.id]);
      expect(revoked).toEqual({ code: 0, out: `revoked ${next.id}\n`, err: '' });
      await until(async () => (await tried(next.key)) === 401);

      const listed = JSON.parse((await run(['keys', 'list', '--tenant', 'big', '--json'])).out);
      expect(listed.map((each: { id: string }) => each.id)).toEqual([id, next.id]);
      expect(JSON.stringify(listed)).not.toContain('tm_');
      const text = await run(['keys', 'list']);
      expect(text.out).toMatch(/^id +tenant +scopes +state +expires/);
      expect(text.out).toMatch(new RegExp(`^${id} +big +read,ingest +expired `, 'm'));
      expect(text.out).toMatch(new RegExp(`^${next.id} +big +read,ingest +revoked `, 'm'));
      expect((await run(['keys', 'list', '--platform', '--json'])).out).toContain('"tenantId": null');

      const { rows } = await sql.query(
        'select actor_kind, tenant_id, action from audit_log order by at, action',
      );
      expect(rows.filter(({ action }) => action.startsWith('key.'))).toEqual([
        { actor_kind: 'command', tenant_id: 'big', action: 'key.created' },
        { actor_kind: 'command', tenant_id: 'big', action: 'key.created' },
        { actor_kind: 'command', tenant_id: 'big', action: 'key.rotated' },
        { actor_kind: 'command', tenant_id: null, action: 'key.created' },
        { actor_kind: 'command', tenant_id: 'big', action: 'key.revoked' },
      ]);
    });

    test('what is not there, or is another tenant’s, is one line', async () => {
      const id = randomUUID();
      const cases: [string[], string][] = [
        [['create', '--tenant', 'none', '--scopes', 'read'], 'there is no such tenant'],
        [['rotate', id], 'there is no such key'],
        [['revoke', id], 'there is no such key'],
      ];
      for (const [args, message] of cases) {
        expect(await run(['keys', ...args])).toEqual({ code: 1, out: '', err: `tidemark: ${message}\n` });
      }
    });
  });

  describe('prices', () => {
    const of = ['--tenant', 'big'];
    const imported = (file: string, ...more: string[]) => run(['prices', 'import', file, ...of, ...more]);

    test('are imported once, from CSV and from a map as LiteLLM has it', async () => {
      const csv = join(folder, 'prices.csv');
      await writeFile(csv, 'model,currency,per,input,output\nmine,USD,million,2.50,10\n');
      expect(await imported(csv, '--dry-run')).toEqual({
        code: 0,
        out: '1 added, 0 changed, 0 unchanged; nothing was stored\n',
        err: '',
      });
      expect((await imported(csv)).out).toBe('1 added, 0 changed, 0 unchanged; version 1 of the list\n');
      expect((await imported(csv)).out).toBe('0 added, 0 changed, 1 unchanged\n');

      const map = join(folder, 'prices.json');
      const entry = (input: string) => `{"input_cost_per_token": ${input}, "litellm_provider": "openai"}`;
      await writeFile(map, `{"gpt-x": ${entry('1.5e-07')}, "image-x": {"litellm_provider": "openai"}}`);
      const first = await imported(map, '--any-provider', 'openai');
      expect(first).toEqual({
        code: 0,
        out: '1 added, 0 changed, 0 unchanged; version 2 of the list\n',
        err: 'models left out, since they have no price of tokens or calls: 1\n',
      });
      await writeFile(map, `{"gpt-x": ${entry('2e-07')}}`);
      const second = await imported(map, '--any-provider', 'openai', '--at', '2026-11-01');
      expect(second.out).toBe('0 added, 1 changed, 0 unchanged; version 3 of the list\n');
      const listed = JSON.parse((await run(['prices', 'list', ...of, '--json'])).out);
      expect(
        listed.map((price: Record<string, unknown>) => [price.model, price.effectiveFrom, price.unitPrices]),
      ).toEqual(
        expect.arrayContaining([
          ['mine', null, { input: '0.0000025', output: '0.00001' }],
          ['gpt-x', null, { input: '0.00000015' }],
          ['gpt-x', '2026-11-01T00:00:00.000Z', { input: '0.0000002' }],
        ]),
      );
      expect((await run(['prices', 'list', ...of])).out).toMatch(/^model .*\n[^\n]*mine +exact +USD /);
    });

    test('that cannot be read are refused with their lines, and nothing is stored', async () => {
      const csv = join(folder, 'wrong.csv');
      await writeFile(csv, 'model,currency,input\na,USD,1\nb,,1\nc,USD,-1\n');
      const refused = await imported(csv);
      expect([refused.code, refused.out]).toEqual([1, '']);
      expect(refused.err).toContain('line 3: currency is required');
      expect(refused.err).toContain('line 4: unitPrices/input must not be negative');
      await writeFile(csv, '{"a": 1}');
      expect((await imported(csv)).err).toContain('is no map of models');
      await writeFile(csv, Buffer.from('model,currency,input\n\xff,USD,1\n', 'latin1'));
      const undecodable = await imported(csv);
      expect([undecodable.code, undecodable.err]).toEqual([
        1,
        expect.stringMatching(/not valid for encoding utf-8\n$/),
      ]);
      const none = join(folder, 'none.csv');
      expect(await imported(none)).toEqual({
        code: 1,
        out: '',
        err: `tidemark: ${none}: there is no such file\n`,
      });
      expect((await run(['prices', 'list', '--tenant', 'none'])).err).toContain('there is no tenant none');
    });
  });

  describe('meters', () => {
    const of = ['--tenant', 'big'];
    const made = ['--event-type', 'egress', '--aggregation', 'sum', '--value', '$.gb'];

    test('are made, listed, asked and waited for', async () => {
      const create = await run([
        'meters',
        'create',
        'egress_gb',
        ...of,
        ...made,
        '--dimension',
        'region=$.region',
      ]);
      expect(create).toMatchObject({ code: 0, err: '' });
      expect(JSON.parse(create.out)).toMatchObject({ slug: 'egress_gb', dimensions: { region: '$.region' } });
      expect(await run(['meters', 'create', 'egress_gb', ...of, ...made])).toEqual({
        code: 1,
        out: '',
        err: 'tidemark: there is a meter egress_gb already\n',
      });
      expect((await run(['meters', 'list', ...of])).out).toMatch(
        /^slug .*\negress_gb +egress +sum +\$\.gb +region /,
      );
      expect(JSON.parse((await run(['meters', 'list', ...of, '--json'])).out)).toMatchObject([
        { slug: 'egress_gb' },
      ]);

      const waiting = await run(['meters', 'backfill', 'egress_gb', ...of, '--no-wait']);
      expect(waiting).toMatchObject({
        code: 0,
        out: expect.stringMatching(/^egress_gb: filling has not begun/),
      });
      const { program, address } = await serve();
      try {
        const headers = {
          authorization: `Bearer ${ADMIN_KEY}`,
          'x-tenant-id': 'big',
          'content-type': 'application/json',
        };
        const events = ['eu', 'us', 'eu'].map((region, i) => ({
          eventId: randomUUID(),
          timestamp: new Date(Date.now() - 60_000).toISOString(),
          customerId: 'acme',
          eventType: 'egress',
          metadata: { gb: `0.${i + 1}`, region },
        }));
        const body = JSON.stringify(events);
        expect((await fetch(`${address}/v1/events`, { method: 'POST', headers, body })).status).toBe(200);
        const filled = await run(['meters', 'backfill', 'egress_gb', ...of]);
        expect([filled.code, filled.out]).toEqual([0, 'egress_gb: summed up\n']);
      } finally {
        program.child.kill('SIGTERM');
        await program.exited;
      }
      const query = ['meters', 'query', 'egress_gb', ...of];
      const csv = await run([...query, '--group-by', 'region,customer', '--format', 'csv']);
      expect(csv.out.split('\r\n').slice(0, 3)).toEqual([
        'windowStart,windowEnd,region,customerId,value,events,ignored,state,revision',
        expect.stringMatching(/,eu,acme,0\.4,2,0,/),
        expect.stringMatching(/,us,acme,0\.2,1,0,/),
      ]);
      const lines = await run([
        ...query,
        '--filter',
        'region=eu',
        '--customer',
        'acme',
        '--format',
        'ndjson',
      ]);
      expect(JSON.parse(lines.out)).toMatchObject({ value: '0.4', number: 0.4, events: '2' });
      expect((await run(query)).out).toMatch(/^window start .*\n[^\n]* 0\.6 +3 +0 /);
    });

    test('what is not there is one line', async () => {
      const cases: [string[], number, RegExp][] = [
        [['list', '--tenant', 'none'], 1, /there is no tenant none/],
        [['query', 'nothing', ...of], 1, /there is no such meter/],
        [['backfill', 'nothing', ...of], 1, /there is no such meter/],
        [
          ['query', 'egress_gb', ...of, '--group-by', 'colour'],
          2,
          /groupBy: the meter has no dimension \S+; it has/,
        ],
        [['query', 'egress_gb', ...of, '--timezone', 'CET'], 2, /CET is not a time zone/],
      ];
      for (const [args, code, message] of cases) {
        const answer = await run(['meters', ...args]);
        expect([args, answer.code, answer.out]).toEqual([args, code, '']);
        expect(answer.err).toMatch(message);
      }
    });
  });

  describe('seed', () => {
    test('posts to a service elsewhere by URL and key alone, and compares', async () => {
      const { url, drop } = await createTestDatabase();
      try {
        const { address } = await serve(url);
        const env = { DATABASE_URL: '', TIDEMARK_PROFILE: 'prod', TIDEMARK_URL: address, ADMIN_KEY };
        const { code, out, err } = await run(
          ['seed', '--duration', '2s', '--rate', '100', '--backfill', '30m'],
          env,
        );
        expect(code, err).toBe(0);
        expect(out).toMatch(/everything acknowledged is counted, once\n$/);
        expect(err).toContain('posting 0.5 h of history');
        const client = new pg.Client(url);
        await client.connect();
        const { rows } = await client.query(
          'select count(*)::int as n, count(distinct tenant_id)::int as tenants from event',
        );
        await client.end();
        expect(rows[0].tenants).toBe(3);
        expect(rows[0].n).toBeGreaterThan(1_000);
      } finally {
        for (const { child, exited } of programs.splice(0)) {
          child.kill('SIGTERM');
          await exited;
        }
        await drop();
      }
    });

    test('loads a folder of one own, wholly checked before anything is sent', async () => {
      const { url, drop } = await createTestDatabase();
      const seeds = join(folder, 'my-seeds');
      try {
        await cp(join(ROOT, 'seeds'), seeds, { recursive: true });
        const { address } = await serve(url);
        const env = { DATABASE_URL: '', TIDEMARK_URL: address, ADMIN_KEY };
        const args = ['seed', '--seeds', seeds, '--duration', '0s', '--tenants', '1'];
        const write = (file: string, json: object) => writeFile(join(seeds, file), JSON.stringify(json));
        const tenantsOf = async () => {
          const headers = { authorization: `Bearer ${ADMIN_KEY}` };
          const answer = await fetch(`${address}/v1/tenants`, { headers });
          const { data } = (await answer.json()) as { data: { id: string; name: string }[] };
          return data.map(({ id, name }) => ({ id, name }));
        };

        const keyScopes = ['ingest', 'read'];
        await write('tenants.json', {
          firstStart: 'mine',
          tenants: [{ id: 'mine', name: 'My Own', keyScopes }],
        });
        await write('customers.json', { customers: [{ tenant: 'mine', id: 'a', name: 'A' }] });
        await write('alert-rules.json', { alertRules: [] });
        await write('meters.json', { meters: [] });
        // What is wrong stands in the last file.
        const wrong = await run(args, env);
        expect(wrong).toEqual({
          code: 1,
          out: '',
          err: `tidemark: ${seeds}/traffic.json /tenants/0/tenant: "northwind" is not in tenants.json\n`,
        });
        expect(await run(['seed', '--seeds', join(folder, 'none')], env)).toEqual({
          code: 1,
          out: '',
          err: `tidemark: ${folder}/none/tenants.json: there is no such file\n`,
        });
        expect(await tenantsOf()).toEqual([]);

        const traffic = JSON.parse(await readFile(join(seeds, 'traffic.json'), 'utf8'));
        traffic.tenants = [{ tenant: 'mine', weight: 1, features: ['chat'], browsing: 0 }];
        await write('traffic.json', traffic);
        expect(await run([...args, '--backfill', '5m'], env)).toMatchObject({ code: 0 });
        expect(await tenantsOf()).toEqual([{ id: 'mine', name: 'My Own' }]);
        const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'x-tenant-id': 'mine' };
        const customers = await (await fetch(`${address}/v1/customers`, { headers })).json();
        expect(customers).toMatchObject({ data: [{ customerId: 'a', name: 'A' }] });
      } finally {
        for (const { child, exited } of programs.splice(0)) {
          child.kill('SIGTERM');
          await exited;
        }
        await drop();
      }
    });

    test('no service, a wrong key, a key that would be handed to strangers: one line', async () => {
      const nobody = `http://127.0.0.1:${await freePort()}`;
      const { address } = await serve();
      const cases: [string[], RegExp][] = [
        [['--url', nobody, '--admin-key', ADMIN_KEY], /no service answers there$/],
        [['--url', address, '--admin-key', 'tm_wrong_key_that_is_long_enough'], /POST \/v1\/tenants: 401/],
        [['--url', 'http://192.0.2.1:8080'], /name a platform key of that service/],
      ];
      for (const [args, message] of cases) {
        const { code, out, err } = await run(['seed', ...args]);
        expect({ code, out }).toEqual({ code: 1, out: '' });
        expect(err.trimEnd()).toMatch(message);
        expect(err).toMatch(/^tidemark: [^\n]+\n$/);
      }
    });
  });

  describe('export', () => {
    /** What is written for a file of this name and does not have it yet. */
    const leftovers = async (of: string) =>
      (await readdir(folder)).filter((name) => name.startsWith(`.${basename(of)}.`));

    test.each(['SIGINT', 'SIGTERM'] as const)(
      '%s: what was there before stays, and nothing else',
      async (signal) => {
        const file = join(folder, `old-${signal}.ndjson`);
        await writeFile(file, 'old\n');
        const program = start(['export', 'events', ...RANGE, '--out', file]);
        await until(async () => (await leftovers(file)).length > 0);
        program.child.kill(signal);
        expect([await program.exited, program.stdout()]).toEqual([130, '']);
        expect(program.stderr()).toBe(`interrupted; ${file} is not written\n`);
        expect(await readFile(file, 'utf8')).toBe('old\n');
        expect(await leftovers(file)).toEqual([]);
        const waiting = `select from pg_stat_activity where application_name = 'tidemark export' and state <> 'idle'`;
        await until(async () => (await sql.query(waiting)).rowCount === 0);
      },
    );

    test('a database that goes away: one line, and no file', async () => {
      const file = join(folder, 'lost.csv.gz');
      const program = start(['export', 'events', ...RANGE, '--out', file]);
      await until(async () => (await leftovers(file)).length > 0);
      program.child.kill('SIGSTOP'); // a fast one would be through before its backend is gone
      await sql.query(
        `select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name = 'tidemark export'`,
      );
      program.child.kill('SIGCONT');
      expect([await program.exited, program.stdout()]).toEqual([1, '']);
      expect(program.stderr()).toMatch(
        /^tidemark: the database at .* cannot be used: .*(terminat|connection was lost).*\n$/,
      );
      expect(await leftovers(file)).toEqual([]);
      expect(await readdir(folder)).not.toContain('lost.csv.gz');
    });

    test('a reader that leaves, a folder that is not there, a name that is a folder: one line', async () => {
      const program = start(['export', 'events', ...RANGE]);
      await until(() => program.stdout() !== '');
      program.child.stdout!.destroy();
      await program.exited;
      expect(program.stderr()).toBe('tidemark: standard output was closed before the end\n');
      expect(program.child.exitCode).toBe(1);

      await mkdir(join(folder, 'taken'));
      for (const [out, message] of [
        [join(folder, 'none', 'x.csv'), /cannot write .*: there is no such folder/],
        [join(folder, 'taken'), /taken is not a file/],
        ['/dev/null', /\/dev\/null is not a file/],
      ] as const) {
        const { code, err } = await run(['export', 'events', ...RANGE, '--out', out]);
        expect(code).toBe(1);
        expect(err).toMatch(message);
      }
      const unknown = await run(['export', 'usage', '--tenant', 'none', '--from', '2026-01-01']);
      expect(unknown).toEqual({ code: 1, out: '', err: 'tidemark: there is no tenant none\n' });
    });

    test('of an inactive tenant, with sums that are right', async () => {
      await sql.query(`update tenant set active = false where id = 'big'`);
      const { code, out } = await run([
        'export',
        'usage',
        ...RANGE,
        '--granularity',
        '1mo',
        '--format',
        'ndjson',
      ]);
      await sql.query(`update tenant set active = true where id = 'big'`);
      expect(code).toBe(0);
      expect(JSON.parse(out)).toMatchObject({ calls: EVENTS, tokens: (EVENTS * (EVENTS + 1)) / 2 });
    });
  });

  test('an event that was posted is exported as soon as it is acknowledged', async () => {
    const { address, program } = await serve();
    const event = { ...anEvent(), tenantId: 'big' };
    const response = await fetch(`${address}/v1/events`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify(event),
    });
    expect(response.status).toBe(200);
    const { out } = await run(['export', 'events', '--tenant', 'big', '--from', event.timestamp]);
    expect(JSON.parse(out)).toMatchObject({ eventId: event.eventId });
    program.child.kill('SIGTERM');
    expect(await program.exited).toBe(0);
  });
}

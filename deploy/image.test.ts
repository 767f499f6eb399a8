import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, matchesGlob, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SEEDS } from '../src/faces/seeds/readSeeds.ts';
import { ENVIRONMENT } from '../src/ground/config/environment.ts';
import { MIGRATIONS } from '../src/ground/db/schemaState.ts';

const root = join(import.meta.dirname, '..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

/** Instructions in order, continued lines joined, comments left out. */
const instructions = read('Dockerfile')
  .replace(/^\s*#.*\n/gm, '')
  .replace(/\\\n/g, ' ')
  .split('\n')
  .map((line) => /^(\w+)\s+(.*)$/.exec(line.trim()))
  .filter((match) => match !== null)
  .map(([, name, rest]) => ({ name: name!.toUpperCase(), rest: rest! }));
const lastFrom = instructions.map(({ name }) => name).lastIndexOf('FROM');
/** Those of the image that runs. */
const final = instructions.slice(lastFrom + 1);
const last = (name: string) => final.findLast((instruction) => instruction.name === name)!.rest;

describe('Dockerfile', () => {
  it('builds on pinned images', () => {
    const args = instructions.filter(({ name, rest }) => name === 'ARG' && rest.includes('_IMAGE='));
    expect(args.map(({ rest }) => rest)).toEqual([
      expect.stringMatching(/^NODE_IMAGE=node:\d+\.\d+\.\d+-\w+-slim$/),
      expect.stringMatching(/^BASE_IMAGE=debian:\d+\.\d+-slim$/),
    ]);
  });

  it('runs as the user that the manifests of Kubernetes name, who is not root', () => {
    const manifest = read('deploy/k8s/base/deployment.yaml');
    const [, user] = /runAsUser: (\d+)/.exec(manifest)!;
    const [, group] = /runAsGroup: (\d+)/.exec(manifest)!;
    expect(last('USER')).toBe(`${user}:${group}`);
    expect(Number(user)).toBeGreaterThan(0);
  });

  it('starts the program itself, so that signals reach it', () => {
    const [program, ...args] = JSON.parse(last('ENTRYPOINT')) as string[];
    expect(program).toBe('node');
    const script = args.at(-1)!;
    expect(script).toMatch(/^dist\/.*\.js$/);
    expect(existsSync(join(root, script.replace(/^dist/, 'src').replace(/js$/, 'ts')))).toBe(true);
    expect(JSON.parse(last('CMD'))).toEqual(['serve']);
  });

  it('sets variables that the service knows, and no secret', () => {
    const variables = Object.fromEntries(
      [...last('ENV').matchAll(/(\w+)=(\S+)/g)].map(([, key, value]) => [key, value]),
    );
    expect(variables).toEqual({
      NODE_ENV: 'production',
      TIDEMARK_PROFILE: 'prod',
      HOST: '0.0.0.0',
      PORT: '8080',
    });
    for (const name of Object.keys(variables))
      if (name !== 'NODE_ENV') expect(ENVIRONMENT.shape).toHaveProperty(name);
    expect(last('EXPOSE')).toBe(variables.PORT);
    for (const { name, rest } of instructions) {
      if (name === 'ARG' || name === 'ENV') expect(rest).not.toMatch(/SECRET|PASSWORD|TOKEN|_KEY/i);
    }
  });

  it('has what the program reads from beside it', () => {
    for (const folder of [MIGRATIONS, SEEDS].map((path) => relative(root, path))) {
      expect(final).toContainEqual({ name: 'COPY', rest: `${folder} ${folder}` });
    }
  });

  it('installs before it copies sources, and only what production needs', () => {
    const sources = instructions.findIndex(({ name, rest }) => name === 'COPY' && /\bsrc\b/.test(rest));
    const installs = instructions.filter(({ rest }) => rest.includes('npm ci'));
    for (const install of installs) expect(instructions.indexOf(install)).toBeLessThan(sources);
    expect(installs[0]!.rest).toContain('--omit=dev --omit=optional');
    const modules = final.find(({ name, rest }) => name === 'COPY' && rest.includes('node_modules'));
    expect(modules!.rest).toMatch(/^--from=dependencies /);
  });
});

describe('.dockerignore', () => {
  const patterns = read('.dockerignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  /** As Docker decides: the last pattern that names the file or a folder above it. */
  const sent = (file: string) => {
    const above = file.split('/').map((_, i, parts) => parts.slice(0, i + 1).join('/'));
    let included = true;
    for (const pattern of patterns) {
      const glob = pattern.replace(/^!/, '');
      // '*' is everything for Docker, dot files too
      if (glob === '*' || above.some((path) => matchesGlob(path, glob))) included = pattern.startsWith('!');
    }
    return included;
  };

  it('sends what the Dockerfile copies', () => {
    const copied = instructions
      .filter(({ name, rest }) => name === 'COPY' && !rest.startsWith('--from'))
      .flatMap(({ rest }) => rest.split(' ').slice(0, -1));
    expect(copied).toContain('src');
    for (const path of copied) {
      expect([path, existsSync(join(root, path)), sent(path)]).toEqual([path, true, true]);
    }
  });

  it('sends every file that migrating reads, and the image has them where it looks for them', () => {
    expect(final).toContainEqual({ name: 'COPY', rest: 'migrations migrations' });
    const files = readdirSync(join(root, 'migrations'), { recursive: true, encoding: 'utf8' });
    expect(files).toEqual(expect.arrayContaining(['functions/close_windows.sql', 'support/engine.js']));
    expect(files.filter((file) => !sent(`migrations/${file}`))).toEqual([]);
  });

  it('keeps the rest out: secrets, data, history, what other machines have built', () => {
    const kept = [
      '.env',
      '.env.example',
      '.git/config',
      '.tidemark/keys.json',
      'node_modules/hono/package.json',
    ];
    kept.push(
      'dist/faces/service/main.js',
      'deploy/k8s/prod/tidemark.env',
      'test/support/program.ts',
      'src/ground/config/loadConfig.test.ts',
      'x.log',
    );
    expect(kept.filter(sent)).toEqual([]);
  });
});

describe('the health check', () => {
  const [program, ...args] = JSON.parse(last('HEALTHCHECK').replace(/^.* CMD /, '')) as string[];
  let status = 200;
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url!);
    response.writeHead(status).end();
  });
  beforeAll(async () => once(server.listen(0, '127.0.0.1'), 'listening'));
  afterAll(() => server.close());
  const check = async (port: number) => {
    const child = spawn(program!, args, {
      env: { PATH: process.env.PATH, PORT: String(port) },
      stdio: 'inherit',
    });
    return (await once(child, 'exit'))[0];
  };

  it('asks the service on the port it listens on, and fails when it does not answer 200', async () => {
    const { port } = server.address() as AddressInfo;
    expect(await check(port)).toBe(0);
    expect(asked).toEqual(['/healthz']);
    status = 503;
    expect(await check(port)).toBe(1);
    expect(await check(1)).toBe(1);
  });
});

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ENVIRONMENT } from '../src/ground/config/environment.ts';
import { loadConfig } from '../src/ground/config/loadConfig.ts';
import { TIMESCALE_IMAGE } from '../test/support/timescaleServer.ts';

const root = join(import.meta.dirname, '..');
const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8');
const nginx = readFileSync(join(root, 'deploy/nginx/nginx.conf.template'), 'utf8');
const example = readFileSync(join(root, '.env.example'), 'utf8');

interface Service {
  image: string;
  command?: string[];
  environment?: Record<string, string>;
  volumes?: string[];
  ports?: string[];
  profiles?: string[];
  networks: string[];
  restart: string;
  healthcheck?: { test?: string[]; disable?: boolean };
  deploy?: { replicas?: number; resources?: { limits?: { memory?: string; pids?: number } } };
  // biome-ignore lint/suspicious/noExplicitAny: the rest is compared with what it should be
  [field: string]: any;
}
const compose = parse(text, { merge: true });
const services = Object.entries(compose.services as Record<string, Service>);
const ours = services.filter(([, { build }]) => build);
const servers = services.filter(([, { restart }]) => restart !== 'no');

/** What compose makes of the variables in a value, with those of .env. @throws where one has to be set and is not. */
function interpolate(value: string, env: Record<string, string | undefined>): string {
  return value.replace(/\$\{(\w+)(?::([-?])([^}]*))?\}|\$\$/g, (match, name, operator, rest) => {
    if (match === '$$') return '$';
    if (env[name]) return env[name];
    if (operator === '?') throw new Error(`${name}: ${rest}`);
    return rest ?? '';
  });
}

const required = [...new Set([...text.matchAll(/\$\{(\w+):\?/g)].map(([, name]) => name!))];
const optional = new Map(
  [...text.matchAll(/\$\{(\w+):-([^}]*)\}/g)].map(([, name, value]) => [name!, value!]),
);

/** A working folder with the `.env` that the line in .env.example makes. */
const folder = mkdtempSync(join(tmpdir(), 'tidemark-compose-'));
afterAll(() => rmSync(folder, { recursive: true }));
cpSync(join(root, '.env.example'), join(folder, '.env.example'));
const line = /^# {3}(\(umask .*\))$/m.exec(example)?.[1];
const made = spawnSync('sh', ['-c', line ?? 'false'], { cwd: folder, encoding: 'utf8' });
const secrets = made.status === 0 ? parseEnv(readFileSync(join(folder, '.env'), 'utf8')) : {};

describe('.env.example', () => {
  it('has a line that makes a secret of its own for every variable without a default', () => {
    expect(made.stderr).toBe('');
    expect(Object.keys(secrets).sort()).toEqual(required.sort());
    for (const secret of Object.values(secrets)) expect(secret).toMatch(/^[0-9a-f]{48}$/);
    expect(new Set(Object.values(secrets)).size).toBe(required.length);
  });

  it('itself has no value for any', () => {
    expect(Object.values(parseEnv(example)).filter((value) => value !== '')).toEqual([]);
  });

  it('lists the other variables with the defaults of docker-compose.yml', () => {
    const listed = [...example.matchAll(/^#(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]);
    const build = ['TIDEMARK_VERSION', 'TIDEMARK_REVISION', 'TIDEMARK_CREATED'];
    const expected = [...optional].filter(([name]) => !build.includes(name));
    expect(listed.sort()).toEqual(expected.sort());
  });
});

describe('docker-compose.yml', () => {
  it('gives the service variables that it knows and starts with', () => {
    for (const [name, { environment = {} }] of ours) {
      const known = Object.keys(ENVIRONMENT.shape);
      const unknown = Object.keys(environment).filter((variable) => !known.includes(variable));
      expect([name, unknown]).toEqual([name, []]);
    }
    expect(config().profile).toBe('prod');
    expect(compose.services.migrate.environment).toEqual(compose.services.tidemark.environment);
  });

  it('has no secret of its own, and no default for one', () => {
    for (const [name, { environment = {} }] of services) {
      for (const [variable, value] of Object.entries(environment)) {
        if (!/PASSWORD|KEY|AUTH|_URL$/.test(variable) || variable === 'ADMIN_KEY_PREVIOUS') continue;
        expect(() => interpolate(value, {}), `${name} ${variable}`).toThrow('set it in .env');
      }
    }
  });

  it('pins every image; TimescaleDB is the one that the tests run on', () => {
    for (const [name, { image, build }] of services) {
      if (!build)
        expect([name, image]).toEqual([name, expect.stringMatching(/^[\w./-]+:v?\d+\.\d+\.\d+(-pg\d+)?$/)]);
    }
    expect(compose.services.postgres.image).toBe(TIMESCALE_IMAGE);
  });

  it('runs containers without rights: read-only, no capabilities, bounded', () => {
    for (const [name, service] of services) {
      expect([name, service]).toMatchObject([
        name,
        {
          read_only: true,
          cap_drop: ['ALL'],
          security_opt: ['no-new-privileges:true'],
          deploy: { resources: { limits: { memory: expect.any(String), pids: expect.any(Number) } } },
          logging: { options: { 'max-size': expect.any(String) } },
        },
      ]);
      for (const right of ['privileged', 'cap_add', 'network_mode', 'pid', 'container_name']) {
        expect(service).not.toHaveProperty(right);
      }
    }
  });

  it('asks every server how it is', () => {
    expect(servers.map(([name]) => name)).toEqual([
      'tidemark',
      'proxy',
      'postgres',
      'redis',
      'prometheus',
      'grafana',
    ]);
    for (const [name, { healthcheck, build }] of servers) {
      if (build)
        expect(healthcheck).toBeUndefined(); // the image has one
      else expect([name, healthcheck?.test?.length]).toEqual([name, expect.any(Number)]);
    }
  });

  it('mounts what is in the repository, read-only, and volumes that it declares', () => {
    for (const [name, { volumes = [] }] of services) {
      for (const volume of volumes) {
        const [source, , mode] = volume.split(':') as [string, string, string | undefined];
        if (!source.startsWith('.')) expect(compose.volumes).toHaveProperty(source);
        else expect([name, source, existsSync(join(root, source)), mode]).toEqual([name, source, true, 'ro']);
      }
    }
    expect(compose.services.postgres.volumes[0]).toBe('postgres:/var/lib/postgresql/data');
    expect(compose.services.redis.volumes[0]).toBe('redis:/data');
  });

  it('shows the host the proxy alone, on loopback, and the databases nobody', () => {
    const published = services.flatMap(([name, { ports = [] }]) =>
      ports.map((port) => `${name} ${interpolate(port, {})}`),
    );
    expect(published).toEqual([
      'proxy 127.0.0.1:8080:8080',
      'prometheus 127.0.0.1:9090:9090',
      'grafana 127.0.0.1:3000:3000',
    ]);
    expect(compose.networks.back).toEqual({ internal: true });
    for (const name of ['postgres', 'redis', 'migrate'])
      expect(compose.services[name].networks).toEqual(['back']);
  });

  it('starts two instances after the migrations, and can start more', () => {
    expect(compose.services.tidemark.deploy.replicas).toBe(2);
    expect(compose.services.tidemark).not.toHaveProperty('ports');
    expect(compose.services.tidemark.depends_on.migrate).toEqual({
      condition: 'service_completed_successfully',
    });
    expect(compose.services.migrate.depends_on.postgres).toEqual({ condition: 'service_healthy' });
  });

  it('keeps what Redis has, and never evicts', () => {
    const command = compose.services.redis.command.at(-1);
    expect(command).toMatch(/^exec redis-server/); // signals reach it
    expect(command).toContain('appendonly yes');
    expect(command).toContain('maxmemory-policy noeviction');
  });

  it('gives an instance the time to drain, and ten seconds suffice', () => {
    const { drainDelayMs, drainTimeoutMs } = config().http;
    expect(compose.services.tidemark.stop_grace_period).toMatch(/^\d+s$/);
    const graceMs = Number.parseInt(compose.services.tidemark.stop_grace_period, 10) * 1_000;
    expect(drainDelayMs + drainTimeoutMs).toBeLessThan(10_000);
    expect(graceMs).toBeGreaterThanOrEqual(drainDelayMs + drainTimeoutMs + 2_000);
  });
});

describe('the proxy', () => {
  const setting = (name: string) => new RegExp(`^\\s*${name} (.*);`, 'm').exec(nginx)?.[1];
  const upstream = /upstream tidemark \{([\s\S]*?)\}/.exec(nginx)![1]!;

  it('is told the variables that its configuration takes', () => {
    const taken = new Set([...nginx.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name));
    const { environment } = compose.services.proxy;
    expect([...taken]).toEqual(Object.keys(environment).filter((name) => !name.startsWith('NGINX_')));
    expect(environment.MAX_BODY_BYTES).toBe(compose.services.tidemark.environment.MAX_BODY_BYTES);
    expect(setting('client_max_body_size')).toMatch(/^.\{MAX_BODY_BYTES\}$/);
    expect(optional.get('MAX_BODY_BYTES')).toBe(String(loadConfig({}).http.maxBodyBytes));
  });

  it('is believed, with its network', () => {
    const { TRUSTED_PROXIES } = compose.services.tidemark.environment;
    expect(compose.networks.front.ipam.config).toEqual([{ subnet: TRUSTED_PROXIES }]);
    expect(compose.services.proxy.networks).toEqual(['front']);
    expect(nginx).toContain('proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;');
  });

  it('is the one to close connections, and waits longer than an answer may take', () => {
    const { limits } = config().http;
    const idle = /keepalive_timeout (\d+)s;/.exec(upstream)![1];
    expect(Number(idle) * 1_000).toBeLessThan(limits.keepAliveMs);
    const { readTimeoutMs } = config().database;
    const longestMs = Math.max(readTimeoutMs, config().ingest.deadlineMs);
    expect(Number.parseInt(setting('proxy_read_timeout')!, 10) * 1_000).toBeGreaterThan(longestMs);
  });

  it('finds every instance by its name, again and again', () => {
    expect(upstream).toMatch(/server tidemark:8080 resolve/);
    expect(setting('resolver')).toMatch(/^127\.0\.0\.11 valid=1s/);
    expect(compose.services).toHaveProperty('tidemark');
    expect(config().http.port).toBe(8080);
  });

  it('shows the world the API and how it is, and no metrics', () => {
    const locations = [...nginx.matchAll(/location ([^@{]+) \{\s*([^}]*)\}/g)];
    const open = locations.filter(([, , body]) => body!.includes('proxy_pass')).map(([, path]) => path);
    expect(open).toEqual([
      ...['/v1/', '= /v1/events', '= /increment', '= /openapi.json', '/docs', '/console'],
      '~ ^/(healthz|readyz)$',
    ]);
  });
});

const client = [['docker', 'compose'], ['docker-compose']].find(([program, ...args]) => {
  const { stdout } = spawnSync(program!, [...args, 'version', '--short'], { encoding: 'utf8' });
  return /^v?([2-9]|\d\d)\./.test(stdout ?? '');
});
if (!client)
  console.warn('DOCKER COMPOSE IS NOT INSTALLED: docker-compose.yml is read, and NOT CHECKED BY COMPOSE.');

describe.skipIf(!client)('docker compose config', () => {
  const check = (profiles: string[], envFile: string) => {
    const [program, ...args] = client!;
    const flags = ['--env-file', envFile, '-f', join(root, 'docker-compose.yml')];
    for (const profile of profiles) flags.push('--profile', profile);
    const { PATH, HOME, DOCKER_CONFIG } = process.env; // and none of our variables
    return spawnSync(program!, [...args, ...flags, 'config', '--format', 'json'], {
      encoding: 'utf8',
      env: { PATH, HOME, ...(DOCKER_CONFIG && { DOCKER_CONFIG }) },
    });
  };
  const base = ['migrate', 'postgres', 'proxy', 'redis', 'tidemark'];

  it.each([
    [[], base],
    [['monitoring'], [...base, 'grafana', 'prometheus']],
    [['seed'], [...base, 'seed']],
    [
      ['monitoring', 'seed'],
      [...base, 'grafana', 'prometheus', 'seed'],
    ],
  ])('accepts the file with the profiles %j', (profiles, expected) => {
    const { status, stdout, stderr } = check(profiles, join(folder, '.env'));
    expect([status, stderr]).toEqual([0, '']);
    expect(Object.keys(JSON.parse(stdout).services).sort()).toEqual(expected.sort());
  });

  it('refuses to go on without a secret', () => {
    const { status, stderr } = check([], join(folder, '.env.example'));
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/set it in \.env/);
  });
});

/** The configuration of an instance. */
function config() {
  const { environment } = compose.services.tidemark as Service;
  const values = Object.entries(environment!).map(([key, value]) => [key, interpolate(value, secrets)]);
  return loadConfig(Object.fromEntries(values));
}

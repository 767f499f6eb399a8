import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { describe, expect, it } from 'vitest';
import { migrateCommand } from '../../src/faces/cli/commands/migrate.ts';
import { ENVIRONMENT } from '../../src/ground/config/environment.ts';
import { loadConfig } from '../../src/ground/config/loadConfig.ts';
import { addressRule } from '../../src/outbound/delivery/webhook/addressRules.ts';
import {
  buildKustomization,
  kustomize,
  type Manifest,
  parseManifests,
  schemaFaults,
} from '../../test/support/kubernetes.ts';

const here = import.meta.dirname;
const read = (file: string) => readFileSync(join(here, file), 'utf8');

const variables = { base: parseEnv(read('base/tidemark.env')), prod: parseEnv(read('prod/tidemark.env')) };
const configMaps = { base: variables.base, prod: { ...variables.base, ...variables.prod } };
const secrets = { DATABASE_URL: 'postgres://u:p@db/tidemark', ADMIN_KEY: 'x'.repeat(16) };

/** The files of the base, each with whole objects, as they are without kustomize. */
const baseFiles = readdirSync(join(here, 'base'))
  .filter((file) => file.endsWith('.yaml') && file !== 'kustomization.yaml')
  .flatMap((file) => parseManifests(read(join('base', file))));

if (!kustomize) {
  console.warn(
    'NEITHER kustomize NOR kubectl IS INSTALLED: deploy/k8s is checked file by file, and NOT BUILT.',
  );
}

describe('the schema check', () => {
  it('refuses fields nobody knows, missing ones, other types, other versions, and two objects of a name', async () => {
    const [deployment] = baseFiles.filter(({ kind }) => kind === 'Deployment') as [Manifest];
    const changed = (name: string, change: (manifest: Manifest) => void): Manifest => {
      const copy = structuredClone(deployment);
      copy.metadata.name = name;
      change(copy);
      return copy;
    };
    const faults = await schemaFaults([
      deployment,
      changed('unknown', ({ spec }) => (spec.template.spec.containers[0].livenessProb = {})),
      changed('missing', ({ spec }) => delete spec.selector),
      changed('type', ({ spec }) => (spec.template.spec.containers[0].ports[0].containerPort = '8080')),
      changed('version', (manifest) => (manifest.apiVersion = 'apps/v1beta1')),
    ]);
    expect(faults.map((fault) => fault.replace(/\.ts\(.*/, '')).sort()).toEqual(
      ['missing', 'type', 'unknown', 'version'].map((name) => `Deployment.${name}`),
    );
    await expect(schemaFaults([deployment, deployment])).rejects.toThrow('EEXIST');
  });

  it('passes every file of the base', async () => {
    expect(baseFiles.length).toBeGreaterThan(10);
    expect(await schemaFaults(baseFiles)).toEqual([]);
  });
});

describe('the migration job', () => {
  it('runs a command that the program has', () => {
    const job = baseFiles.find(
      ({ kind, metadata }) => kind === 'Job' && metadata.name === 'tidemark-migrate',
    )!;
    const [node, program, ...args] = job.spec.template.spec.containers[0].command;
    const source = program.replace('dist/', 'src/').replace(/\.js$/, '.ts');
    expect([node, existsSync(join(here, '../..', source))]).toEqual(['node', true]);
    expect(args).toEqual([migrateCommand().name()]);
  });
});

describe.each(['base', 'prod'] as const)('the config map of %s', (name) => {
  it('has variables of the service only, none of them secret, with values it starts with', () => {
    const configMap = configMaps[name];
    const known = Object.keys(ENVIRONMENT.shape);
    expect(Object.keys(configMap).filter((variable) => !known.includes(variable))).toEqual([]);
    expect(Object.keys(configMap).filter((variable) => /KEY$|_URL$/.test(variable))).toEqual([]);
    expect(loadConfig({ ...configMap, ...secrets }).profile).toBe('prod');
  });
});

describe.skipIf(!kustomize).each(['base', 'prod'] as const)('%s, built', (name) => {
  const objects = kustomize ? buildKustomization(join(here, name)) : [];
  const all = (kind: string) => objects.filter((object) => object.kind === kind);
  const one = (kind: string): Manifest => {
    expect([kind, all(kind).length]).toEqual([kind, 1]);
    return all(kind)[0]!;
  };
  const pods = () => ({ server: one('Deployment').spec.template, migration: one('Job').spec.template });
  const config = loadConfig({ ...configMaps[name], ...secrets });

  it('is what the Kubernetes API knows', async () => {
    expect(await schemaFaults(objects)).toEqual([]);
  });

  it('has no secret, and takes from one only what the service knows', () => {
    expect(all('Secret')).toEqual([]);
    for (const { spec } of Object.values(pods())) {
      const { env } = spec.containers[0];
      for (const { name, value, valueFrom } of env) {
        expect(ENVIRONMENT.shape).toHaveProperty(name);
        expect({ value, valueFrom }).toMatchObject({
          value: undefined,
          valueFrom: { secretKeyRef: { name: 'tidemark', key: name } },
        });
      }
      expect(env.map(({ name }: { name: string }) => name)).toEqual(
        expect.arrayContaining(Object.keys(secrets)),
      );
    }
  });

  it('gives both pods the config map, under the name of its content', () => {
    const { metadata, data } = one('ConfigMap');
    expect(data).toEqual(configMaps[name]);
    expect(metadata.name).toMatch(/^tidemark-\w{10}$/);
    for (const { spec } of Object.values(pods())) {
      expect(spec.containers[0].envFrom).toEqual([{ configMapRef: { name: metadata.name } }]);
    }
  });

  it('runs pods without rights: what the restricted Pod Security Standard asks for, and more', () => {
    expect(one('ServiceAccount')).toMatchObject({
      metadata: { name: 'tidemark' },
      automountServiceAccountToken: false,
    });
    for (const { spec } of Object.values(pods())) {
      expect(spec).toMatchObject({
        serviceAccountName: 'tidemark',
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          {
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ['ALL'] },
            },
            resources: {
              requests: { cpu: expect.any(String), memory: expect.any(String) },
              limits: { memory: expect.any(String) },
            },
          },
        ],
      });
      expect(spec.securityContext.runAsUser).toBeGreaterThan(0);
      for (const field of ['volumes', 'hostNetwork', 'hostPID', 'hostIPC'])
        expect(spec).not.toHaveProperty(field);
    }
  });

  it('names what is there: labels, ports, the deployment', () => {
    const { server, migration } = pods();
    const labels = server.metadata.labels;
    const [container] = server.spec.containers;
    expect(container.ports).toEqual([{ name: 'http', containerPort: config.http.port }]);
    expect(server.metadata.annotations['prometheus.io/port']).toBe(String(config.http.port));
    expect(config.http.host).toBe('0.0.0.0');
    const [constraint] = server.spec.topologySpreadConstraints;
    for (const selector of [
      one('Deployment').spec.selector.matchLabels,
      one('Service').spec.selector,
      one('PodDisruptionBudget').spec.selector.matchLabels,
      constraint.labelSelector.matchLabels,
    ]) {
      expect(labels).toMatchObject(selector);
      expect(migration.metadata.labels).not.toMatchObject(selector);
    }
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
      const path = probe === 'readinessProbe' ? '/readyz' : '/healthz';
      expect(container[probe].httpGet).toEqual({ path, port: 'http' });
    }
    expect(one('Service').spec.ports).toMatchObject([{ name: 'http', targetPort: 'http' }]);
    const { metadata, apiVersion, kind } = one('Deployment');
    expect(one('HorizontalPodAutoscaler').spec.scaleTargetRef).toEqual({
      apiVersion,
      kind,
      name: metadata.name,
    });
    const images = [container.image, migration.spec.containers[0].image];
    expect(images[0]).toBe(images[1]);
  });

  it('keeps two instances or more, one of which may be away', () => {
    expect(one('Deployment').spec).not.toHaveProperty('replicas');
    expect(one('HorizontalPodAutoscaler').spec.minReplicas).toBeGreaterThanOrEqual(2);
    expect(one('PodDisruptionBudget').spec.maxUnavailable).toBe(1);
    expect(one('Deployment').spec.strategy.rollingUpdate).toEqual({ maxSurge: 1, maxUnavailable: 0 });
  });

  it('gives an instance the time to drain', () => {
    const { spec } = pods().server;
    const preStopMs = spec.containers[0].lifecycle.preStop.sleep.seconds * 1_000;
    const { drainDelayMs, drainTimeoutMs } = config.http;
    const graceMs = spec.terminationGracePeriodSeconds * 1_000;
    expect(graceMs).toBeGreaterThanOrEqual(preStopMs + drainDelayMs + drainTimeoutMs + 2_000);
    const longestMs = Math.max(config.database.readTimeoutMs, config.ingest.deadlineMs);
    expect(drainTimeoutMs / 2).toBeGreaterThanOrEqual(longestMs);
  });

  it('shows the world the API, and neither metrics nor probes', () => {
    const { rules } = one('Ingress').spec;
    const paths = rules.flatMap(({ http }: Manifest) => http.paths.map(({ path }: Manifest) => path));
    expect(paths).toEqual(['/v1', '/increment', '/openapi.json', '/docs', '/console']);
    for (const { http } of rules) {
      for (const { backend } of http.paths) {
        expect(backend.service).toEqual({ name: one('Service').metadata.name, port: { name: 'http' } });
      }
    }
  });

  it('lets nothing through the network that no policy names', () => {
    const policy = (suffix: string) =>
      all('NetworkPolicy').find(({ metadata }) => metadata.name === `tidemark${suffix}`)!.spec;
    expect(policy('')).toEqual({
      podSelector: { matchLabels: { 'app.kubernetes.io/name': 'tidemark' } },
      policyTypes: ['Ingress', 'Egress'],
    });
    expect(all('NetworkPolicy').map(({ metadata }) => metadata.name.replace('tidemark', ''))).toEqual([
      ...['', '-from-ingress', '-from-prometheus', '-to-dns'],
      ...['-to-postgres', '-to-redis', '-to-webhooks'],
    ]);
    const { server, migration } = pods();
    for (const { metadata, spec } of all('NetworkPolicy')) {
      const { matchLabels } = spec.podSelector;
      expect(server.metadata.labels).toMatchObject(matchLabels);
      if (['tidemark', 'tidemark-to-dns', 'tidemark-to-postgres'].includes(metadata.name)) {
        expect(migration.metadata.labels).toMatchObject(matchLabels);
      } else expect(migration.metadata.labels).not.toMatchObject(matchLabels);
    }
  });

  it('lets webhooks go where the service itself does', () => {
    const webhooks = all('NetworkPolicy').find(({ metadata }) => metadata.name === 'tidemark-to-webhooks')!;
    const allowed = addressRule([]);
    for (const { ipBlock } of webhooks.spec.egress[0].to) {
      for (const range of ipBlock.except)
        expect([range, allowed(range.split('/')[0])]).toEqual([range, false]);
    }
    const source = readFileSync(join(here, '../../src/outbound/delivery/webhook/addressRules.ts'), 'utf8');
    const forbidden = [...source.matchAll(/^ {2}'([0-9a-f:./]+)'/gm)].map(([, range]) => range);
    const except = webhooks.spec.egress[0].to.flatMap(({ ipBlock }: Manifest) => ipBlock.except);
    expect(except).toEqual(forbidden);
  });
});

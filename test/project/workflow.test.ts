import { readFile, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { OLDEST_SERVER, OLDEST_TIMESCALE } from '../../src/ground/db/prepareDatabase.ts';
import { REDIS_IMAGE } from '../support/servers.ts';
import { TIMESCALE_IMAGE } from '../support/timescaleServer.ts';

interface Step {
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
}

interface Job {
  'timeout-minutes': number;
  strategy?: { matrix: { include?: Record<string, unknown>[] } };
  services?: Record<string, { image: string }>;
  env?: Record<string, string>;
  steps: Step[];
}

const file = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const workflow = parse(await readFile(file('.github/workflows/ci.yml'), 'utf8'));
const jobs = Object.entries(workflow.jobs as Record<string, Job>);
const runs = jobs.flatMap(([, job]) => job.steps.flatMap(({ run }) => run ?? []));
const { scripts, engines } = JSON.parse(await readFile(file('package.json'), 'utf8'));

const combinations = (name: string) => (workflow.jobs[name] as Job).strategy!.matrix.include!;
const unique = (job: string, name: string) => [...new Set(combinations(job).map((one) => one[name]))].sort();

it('calls scripts that are there', async () => {
  const called = runs.flatMap((run) => [...run.matchAll(/npm (?:run )?(?:--silent )?([\w:]+)/g)]);
  const names = called.map(([, name]) => name!).filter((name) => name !== 'ci');
  expect(names).toEqual(expect.arrayContaining(['typecheck', 'lint', 'test']));
  expect(names.filter((name) => scripts[name] === undefined)).toEqual([]);
  await expect(stat(file('.ci/run'))).resolves.toBeDefined();
});

it('runs every Node and every PostgreSQL that are supported', () => {
  const postgres = workflow.jobs.postgres as Job;
  expect(unique('postgres', 'node')).toEqual([20, 22, 24]);
  expect(unique('postgres', 'postgres')).toEqual([15, 16, 17, 18]);
  expect(postgres.services!.postgres!.image).toBe(`postgres:\${{ matrix.postgres }}`);
  expect(Object.keys(postgres.env!)).toContain('TEST_POSTGRES_URL');
  expect(unique('timescale', 'node')).toEqual([20, 22, 24]);
  expect(engines.node).toMatch(/^>=20\./);
});

it('runs the oldest TimescaleDB on the oldest PostgreSQL, the newest on the newest, and that of production', () => {
  const timescale = workflow.jobs.timescale as Job;
  const [, production] = TIMESCALE_IMAGE.split(':');
  const [release] = production!.split('-');
  const tags = unique('timescale', 'timescale');
  expect(tags).toEqual(['2.28.3-pg15', production, `${release}-pg18`]);
  expect(timescale.env!.TEST_TIMESCALE_IMAGE).toBe(`timescale/timescaledb:\${{ matrix.timescale }}`);
  const [oldest, server] = [OLDEST_TIMESCALE.join('\\.'), OLDEST_SERVER / 10_000];
  expect(tags[0]).toMatch(new RegExp(`^${oldest}\\.\\d+-pg${server}$`));
});

it('tests with the images that the tests look for, which are those of production', async () => {
  expect(workflow.env).toEqual({ TIMESCALE_IMAGE, REDIS_IMAGE });
  const compose = parse(await readFile(file('docker-compose.yml'), 'utf8'), { merge: true });
  const images = Object.values<{ image?: string }>(compose.services).map(({ image }) => image);
  expect(images).toEqual(expect.arrayContaining([TIMESCALE_IMAGE, REDIS_IMAGE]));
});

it('may read and nothing else, cancels what is outdated, and ends', () => {
  expect(workflow.permissions).toEqual({ contents: 'read' });
  expect(workflow.concurrency['cancel-in-progress']).toBe(true);
  for (const [name, job] of jobs) {
    const most = job.steps.some(({ run }) => run === '.ci/run') ? 85 : 30; // which runs the long tests too
    expect([name, job['timeout-minutes']]).toEqual([name, expect.toSatisfy((minutes) => minutes <= most)]);
    expect([name, job]).not.toEqual([name, expect.objectContaining({ permissions: expect.anything() })]);
  }
});

it('pins actions to a major version, and caches what npm fetches', () => {
  const used = jobs.flatMap(([, { steps }]) => steps.filter(({ uses }) => uses));
  expect(used.map(({ uses }) => uses).filter((uses) => !/^actions\/[\w-]+@v\d+$/.test(uses!))).toEqual([]);
  for (const step of used.filter(({ uses }) => uses!.startsWith('actions/setup-node'))) {
    expect(step.with).toHaveProperty('cache', 'npm');
  }
});

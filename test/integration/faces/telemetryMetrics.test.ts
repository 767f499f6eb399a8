import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { readDescription } from '../../support/description.ts';
import { type DocumentedMetric, readMetricTable } from '../../support/metricTable.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** Prometheus' text format. */
function readMetrics(text: string): { types: Map<string, string>; samples: Sample[] } {
  const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name!, type!]));
  const samples = [...text.matchAll(/^([a-z_]\w*)(?:\{(.*)\})? (\S+)$/gm)].map(([, name, labels, value]) => ({
    name: name!,
    labels: Object.fromEntries([...(labels ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, k, v]) => [k!, v!])),
    value: Number(value),
  }));
  return { types, samples };
}

describeEngine('metrics', () => {
  const stream = `metrics:${inject('engine')}:${process.pid}:${randomUUID().slice(0, 8)}`;
  let t: TestService;
  let tenant: { id: string; key: string };
  let documented: DocumentedMetric[];

  beforeAll(async () => {
    t = await startTestService({
      REDIS_URL: inject('redisUrl'),
      SOURCE_REDIS_URL: inject('redisUrl'),
      SOURCE_STREAM: stream,
    });
    tenant = await t.tenant();
    documented = readMetricTable(await readFile('docs/telemetry.md', 'utf8'));
  });
  afterAll(async () => {
    await t.stop();
    const redis = new Redis(inject('redisUrl'));
    await redis.del(stream, `${stream}:dead`);
    redis.disconnect();
  });

  const scrape = async () => readMetrics((await t.call('GET', '/metrics', { key: null })).body);
  const valueAt = async (name: string, labels: Record<string, string> = {}) => {
    const { samples } = await scrape();
    const found = samples.filter(
      (one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value),
    );
    return found.reduce((sum, { value }) => sum + value, 0);
  };
  const requests = (labels: Record<string, string>) =>
    valueAt('http_server_request_duration_seconds_count', labels);
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    t.call('POST', '/v1/events', { key: tenant.key, body, headers });

  it('are those of docs/telemetry.md, all of them, with those types', async () => {
    const { types } = await scrape();
    const linuxOnly = (name: string) => process.platform !== 'linux' && name.startsWith('process_');
    const expected = documented.filter(({ name }) => !linuxOnly(name)).map(({ name, type }) => [name, type]);
    expect([...types].sort()).toEqual(expected.sort());
  });

  it('have those labels, and none that tells tenants or customers apart', async () => {
    const event = anEvent({ customerId: 'customer-of-the-metrics' });
    await post(event);
    await post(event);
    await post('{');
    await t.call('GET', '/v1/live', { key: tenant.key });
    await t.call('GET', '/v1/windows', { key: 'tm_wrong' });
    await t.call('GET', `/v1/customers/${tenant.id}`, { key: tenant.key });
    const { samples } = await scrape();
    const allowed = new Map(documented.map(({ name, labels }) => [name, new Set(labels)]));
    for (const { name, labels } of samples) {
      const base = allowed.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
      for (const [label, value] of Object.entries(labels)) {
        if (label !== 'le')
          expect([base, [...allowed.get(base)!]]).toEqual([base, expect.arrayContaining([label])]);
        expect(label).not.toMatch(/tenant|customer|key/);
        expect(value).not.toContain(tenant.id);
        expect(value).not.toContain('customer-of-the-metrics');
      }
    }
    // What nothing has happened to yet has no samples; of all that has, the labels are complete.
    for (const { name, labels } of documented) {
      const seen = samples.find((one) => one.name === name || one.name === `${name}_count`);
      if (seen) expect([name, Object.keys(seen.labels).sort()]).toEqual([name, [...labels].sort()]);
    }
  });

  it('tell requests by method, template and status', async () => {
    const at = { http_request_method: 'POST', http_route: '/v1/events', http_response_status_code: '200' };
    const before = await requests(at);
    await post(anEvent());
    expect(await requests(at)).toBe(before + 1);
    await t.call('GET', '/v1/sessions/one', { key: tenant.key });
    await t.call('GET', '/v1/sessions/two', { key: tenant.key });
    await t.call('GET', '/v1/sessions/three', { key: null });
    const sessions = { http_request_method: 'GET', http_route: '/v1/sessions/{id}' };
    expect(await requests({ ...sessions, http_response_status_code: '401' })).toBe(1);
    expect(await requests(sessions)).toBe(3);
    await t.service.app.request('/v1/windows', {
      method: 'HEAD',
      headers: { authorization: `Bearer ${tenant.key}` },
    });
    expect(await requests({ http_request_method: 'HEAD', http_route: '/v1/windows' })).toBe(1);
    const { samples } = await scrape();
    const buckets = samples.filter(({ name }) => name === 'http_server_request_duration_seconds_bucket');
    expect(new Set(buckets.map(({ labels }) => labels.le))).toContain('0.075');
  });

  it('fold what is not there: whatever is asked, the series stay as many', async () => {
    const ask = async (n: number) => {
      for (const path of [`/${n}`, `/v1/${n}/x`, `/v1/tenants/${n}/y/z`, `/docs/${n}`]) {
        for (const method of ['GET', 'PURGE', `M${n}`, 'DELETE']) {
          await t.call(method, path, { key: n % 2 ? tenant.key : null });
        }
      }
      for (const method of ['PATCH', 'PUT', `N${n}`])
        await t.call(method, '/v1/windows', { key: tenant.key });
    };
    const series = async () => {
      const { samples } = await scrape();
      return samples.filter(({ name }) => name === 'http_server_request_duration_seconds_count');
    };
    for (const n of [1, 2]) await ask(n);
    const before = (await series()).length;
    for (const n of [3, 4, 5, 6, 7, 8]) await ask(n);
    const after = await series();
    expect(after).toHaveLength(before);
    const { operations } = await readDescription(t);
    const templates = new Set(operations.map(({ path }) => path));
    const others = new Set(
      after.map(({ labels }) => labels.http_route!).filter((route) => !templates.has(route)),
    );
    others.delete('/openapi.json');
    expect([...others].filter((route) => !route.startsWith('/docs'))).toEqual(['unmatched']);
    expect(new Set(after.map(({ labels }) => labels.http_request_method))).toContain('_OTHER');
  });

  it('are joined in the runbook by SQL that runs', async () => {
    const runbook = (await readFile('docs/runbook.md', 'utf8')).replaceAll('\n', ' ');
    const statements = [...runbook.matchAll(/`(select [^`]+)`/g)].map(([, statement]) => statement!);
    expect(statements.length).toBeGreaterThan(4);
    for (const statement of statements) await t.sql.query(statement);
  });

  it('count what is refused by its code', async () => {
    const before = await valueAt('tidemark_http_problems_total', { code: 'invalid_json' });
    await post('{');
    expect(await valueAt('tidemark_http_problems_total', { code: 'invalid_json' })).toBe(before + 1);
  });

  it('follow a batch from its queue to its commit', async () => {
    const names = ['batch_rows', 'batch_bytes', 'batch_wait_seconds', 'batch_seconds', 'commit_seconds'];
    const counts = async () =>
      Object.fromEntries(
        await Promise.all(names.map(async (n) => [n, await valueAt(`tidemark_ingest_${n}_count`)] as const)),
      );
    const before = await counts();
    const event = anEvent();
    await post(event);
    const claimed = await valueAt('tidemark_ingest_commit_seconds_count', { path: 'claiming' });
    await post(event);
    const after = await counts();
    for (const name of names) expect([name, after[name]! - before[name]!]).toEqual([name, 2]);
    expect(await valueAt('tidemark_ingest_commit_seconds_count', { path: 'claiming' })).toBe(claimed + 1);
    expect(await valueAt('tidemark_ingest_queue_rows')).toBe(0);
    expect(await valueAt('tidemark_ingest_queue_age_seconds')).toBe(0);
  });

  it('tell how old the queue is while nothing can be written', async () => {
    const holder = await t.sql.connect();
    await holder.query('begin; lock table event_key in access exclusive mode');
    const answers = [post(anEvent())];
    try {
      await until(async () => (await valueAt('tidemark_ingest_batches_running')) > 0);
      answers.push(...Array.from({ length: 3 }, () => post(anEvent())));
      await until(async () => {
        answers.push(post(anEvent())); // until both writers are taken, and some wait
        return (await valueAt('tidemark_ingest_queue_age_seconds')) > 0.1;
      });
      expect(await valueAt('tidemark_ingest_queue_rows')).toBeGreaterThan(0);
      expect(await valueAt('tidemark_ingest_queue_bytes')).toBeGreaterThan(0);
    } finally {
      await holder.query('rollback');
      holder.release();
    }
    for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
  });

  it('show the pools, the live counters, the closing and what runs', async () => {
    await t.call('GET', '/v1/windows', { key: tenant.key });
    expect(await valueAt('tidemark_database_pool_size', { pool: 'read' })).toBe(
      t.config.database.readPoolSize,
    );
    expect(await valueAt('tidemark_database_pool_connections', { pool: 'read' })).toBeGreaterThan(0);
    expect(await valueAt('tidemark_database_statement_seconds_count', { pool: 'read' })).toBeGreaterThan(0);
    expect(await valueAt('tidemark_database_statement_seconds_count', { pool: 'admin' })).toBeGreaterThan(0);
    await until(async () => (await valueAt('tidemark_live_up', { store: 'redis' })) === 1);
    const reads = await valueAt('tidemark_live_reads_total');
    await t.call('GET', '/v1/live', { key: tenant.key });
    expect(await valueAt('tidemark_live_reads_total')).toBe(reads + 1);
    expect(await valueAt('tidemark_live_increments_total')).toBeGreaterThan(0);
    await until(
      async () =>
        Date.now() / 1_000 - (await valueAt('tidemark_closing_closed_until_timestamp_seconds')) < 40,
    );
    expect(await valueAt('tidemark_ready')).toBe(1);
    expect(await valueAt('tidemark_build_info', { engine: inject('engine'), version: '0.1.0' })).toBe(1);
    expect(await valueAt('nodejs_eventloop_lag_p99_seconds')).toBeGreaterThan(0);
    expect(await valueAt('http_server_active_requests')).toBe(1); // the scrape
  });
});

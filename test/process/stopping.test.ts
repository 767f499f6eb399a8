import pg from 'pg';
import { describe, expect, inject, it } from 'vitest';
import { until } from '../support/service.ts';
import { anEvent } from '../support/traffic.ts';
import { describeRestarts } from './describeRestarts.ts';
import { ADMIN_KEY, cleanUpPrograms, newDatabase, query, START_MS, start } from './support/programs.ts';

cleanUpPrograms();
describeRestarts(1);

async function post(address: string, path: string, body: unknown, headers = {}): Promise<number> {
  const response = await fetch(address + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  await response.arrayBuffer();
  return response.status;
}

describe('the exit code of a service that is stopped', () => {
  /** A batch that cannot end, and a service that gives it a second. */
  async function stopWhileABatchWaits(headers: Record<string, string>) {
    const url = await newDatabase(inject('postgresUrl'));
    const service = start(url, ['serve'], { DRAIN_TIMEOUT_MS: '1000' });
    const [address] = await service.says(/"address":"([^"]+)"/, START_MS);
    expect(await post(address!, '/v1/tenants', { id: 'acme', name: 'Acme' })).toBe(201);
    const holder = new pg.Client(url);
    await holder.connect();
    await holder.query('begin; lock table event in access exclusive mode');
    const answer = post(address!, '/v1/events', [{ ...anEvent(), tenantId: 'acme' }], headers).catch(() => 0);
    await until(async () => {
      const waits = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
                       and application_name = 'tidemark ingest'`;
      return (await query(url, waits)).rowCount === 1;
    });
    service.child.kill('SIGTERM');
    const code = await service.exited;
    await holder.end();
    return { code, answer: await answer, stderr: service.stderr() };
  }

  it('is 0 where what was not written was not answered either', async () => {
    const { code, answer, stderr } = await stopWhileABatchWaits({});
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect([0, 503]).toContain(answer);
  });

  it('is 1 where events were answered with 202, and says how many', async () => {
    const { code, answer, stderr } = await stopWhileABatchWaits({ prefer: 'respond-async' });
    expect({ code, answer }).toEqual({ code: 1, answer: 202 });
    expect(stderr).toMatch(/^tidemark: stopped, but 1 events? that had been answered with 202/);
  });
});

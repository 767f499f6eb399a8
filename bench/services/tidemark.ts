import { randomBytes } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../src/ground/local/freePort.ts';
import { TENANT } from '../load/workload.ts';
import { startChild } from '../support/children.ts';

export interface Tidemark {
  pid: number;
  port: number;
  /** A key of the first tenant that may ingest and read, and the platform key, which may for all. */
  key: string;
  adminKey: string;
  /** Makes another tenant, and returns a key of the same kind. `limits` as the API takes them. */
  addTenant(id: string, limits?: object): Promise<string>;
  /** Sums of its own metrics, by name. */
  metrics(): Promise<Record<string, number>>;
  /**
   * Ends it in order.
   *
   * @returns what was wrong: an exit code other than 0, warnings and errors it has logged, but for zone data that are
   * old.
   */
  stop(): Promise<string[]>;
}

export interface TidemarkOptions {
  url: string;
  /** For its files, removed by the caller. */
  folder: string;
  /** Variables beyond the usual ones. */
  env?: Record<string, string>;
  /** What is started in place of the compiled service: a module of ours, or the path of another build's program. */
  module?: URL | string;
  /** Tenants to make, in place of the usual one. */
  tenants?: readonly string[];
}

const COMPILED = fileURLToPath(new URL('../../dist/faces/service/main.js', import.meta.url));
const START_MS = 60_000;
/** A warning at start about the zone data of the machine: nothing that is measured depends on it. */
const ZONE_RULES = /end by the database's time zone rules/;

/**
 * (d) The service itself in a process of its own, as `npm start` runs it. Profile dev: prod has live counters only
 * with a Redis, and the figures are to include them.
 */
export async function startTidemark({
  url,
  folder,
  env,
  module,
  tenants = [TENANT],
}: TidemarkOptions): Promise<Tidemark> {
  const port = await freePort();
  const adminKey = `tm_${randomBytes(24).toString('hex')}`;
  const child = startChild(module ?? COMPILED, {
    DATABASE_URL: url,
    TIDEMARK_PROFILE: 'dev',
    DATA_DIR: await mkdtemp(join(folder, 'tidemark-')),
    ADMIN_KEY: adminKey,
    LOG_LEVEL: 'warn',
    PORT: String(port),
    ...env,
  });
  const base = `http://127.0.0.1:${port}`;
  const post = async (path: string, body: object): Promise<{ key: string }> => {
    const answer = await fetch(base + path, {
      method: 'POST',
      headers: { Authorization: `Bearer ${adminKey}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as { key: string };
  };
  try {
    await untilReady(base, child.process);
    const addTenant = async (id: string, limits: object = {}) => {
      await post('/v1/tenants', { id, name: 'Benchmark', ...limits });
      return (await post('/v1/keys', { tenantId: id, scopes: ['ingest', 'read'] })).key;
    };
    const keys: string[] = [];
    for (const id of tenants) keys.push(await addTenant(id));
    return {
      pid: child.pid,
      port,
      key: keys[0] ?? adminKey,
      adminKey,
      addTenant,
      metrics: async () => sumsOf(await (await fetch(`${base}/metrics`)).text()),
      async stop() {
        const code = await child.stop();
        const logged = child
          .said()
          .split('\n')
          .filter((line) => line.startsWith('{') && !ZONE_RULES.test(line));
        return [...(code === 0 ? [] : [`the service ended with ${code}`]), ...logged];
      },
    };
  } catch (error) {
    await child.stop();
    throw new Error(`the service does not start: ${(error as Error).message}\n${child.said()}`, {
      cause: error,
    });
  }
}

async function untilReady(base: string, process: { exitCode: number | null }): Promise<void> {
  const deadline = Date.now() + START_MS;
  for (;;) {
    const answer = await fetch(`${base}/readyz`).catch(() => null);
    if (answer?.ok) return;
    if (process.exitCode !== null) throw new Error(`it ended with ${process.exitCode}`);
    if (Date.now() > deadline) throw new Error(`not ready after ${START_MS} ms`);
    await sleep(50);
  }
}

/** Prometheus text: the samples of each name added up, whatever their labels. */
function sumsOf(text: string): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const [, name, value] of text.matchAll(/^([a-z_]+)(?:\{[^}]*\})? (\S+)/gm)) {
    sums[name!] = (sums[name!] ?? 0) + Number(value);
  }
  return sums;
}

import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Client, Refused } from '../src/faces/seeds/client.ts';
import { LoadError } from './loadError.ts';

const DEFAULT_PORT = '8080';
const TIMEOUT_MS = 5_000;
const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** Where the service is, and the key of the tenant to post for. */
export interface Access {
  url: string;
  key: string;
  /** Where the key comes from. */
  source: string;
  /** Ends what was made for the run. */
  close(): Promise<void>;
}

/**
 * Finds the service and a key for it: TIDEMARK_KEY, else one of a tenant that is made with ADMIN_KEY, else the demo
 * key of the local installation.
 *
 * @param root folder of the project.
 * @param run names the tenant, where one is made.
 * @throws {LoadError} when no service answers, or the key is not right for it.
 */
export async function openAccess(env: NodeJS.ProcessEnv, root: string, run: string): Promise<Access> {
  const url = (env.TIDEMARK_URL || `http://127.0.0.1:${portOf(env)}`).replace(/\/+$/, '');
  await requireService(url);
  const access = await findKey(env, url, root, run);
  try {
    await requireScopes(access);
  } catch (error) {
    await access.close();
    throw error;
  }
  return access;
}

/** Where the service listens that is started with the same environment, as `tidemark seed` finds it. */
function portOf(env: NodeJS.ProcessEnv): string {
  const port = env.PORT || DEFAULT_PORT;
  if (/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535) return port;
  throw new LoadError(`PORT names no port to send to: ${port}`);
}

async function requireService(url: string): Promise<void> {
  if (!URL.canParse(url)) throw new LoadError(`TIDEMARK_URL is not a URL: ${url}`);
  const { status, text } = await ask(`${url}/readyz`).catch((error: Error) => {
    const { code, message } = (error.cause ?? {}) as { code?: string; message?: string };
    throw new LoadError(
      `no service answers at ${url} (${code ?? message ?? error.message}): start it with npm start, or name it in TIDEMARK_URL`,
    );
  });
  if (!/^\{.*"status":"(not_)?ready"/.test(text)) {
    throw new LoadError(`what answers at ${url} is not Tidemark (GET /readyz: ${status})`);
  }
  if (status !== 200) throw new LoadError(`the service at ${url} is not ready: ${text}`);
}

async function findKey(env: NodeJS.ProcessEnv, url: string, root: string, run: string): Promise<Access> {
  const close = async () => {};
  if (env.TIDEMARK_KEY) return { url, key: env.TIDEMARK_KEY, source: 'TIDEMARK_KEY', close };
  if (env.ADMIN_KEY) return makeTenant(new Client(url, env.ADMIN_KEY), url, run);
  const keyring = join(resolve(root, env.DATA_DIR || '.tidemark'), 'keys.json');
  const key = LOOPBACK.has(new URL(url).hostname) ? await demoKey(keyring) : undefined;
  if (key) return { url, key, source: 'the demo tenant of the local installation', close };
  throw new LoadError(
    'no key: set TIDEMARK_KEY to one of a tenant with the scopes ingest and read, or ADMIN_KEY to have a tenant made',
  );
}

async function demoKey(file: string): Promise<string | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '{}');
  return (JSON.parse(text) as { demoKey?: string }).demoKey;
}

/** There is no way to delete a tenant: in the end it is inactive, and its key revoked. */
async function makeTenant(admin: Client, url: string, run: string): Promise<Access> {
  try {
    await admin.call('POST', '/v1/tenants', { id: run, name: 'Load scenarios' });
    const made = await admin.call<{ id: string; key: string }>('POST', '/v1/keys', {
      tenantId: run,
      scopes: ['ingest', 'read'],
    });
    const close = async () => {
      await admin.call('DELETE', `/v1/keys/${made.id}`);
      await admin.call('PATCH', `/v1/tenants/${run}`, { active: false });
    };
    return { url, key: made.key, source: `tenant ${run}, made with ADMIN_KEY`, close };
  } catch (error) {
    if (error instanceof Refused)
      throw new LoadError(`ADMIN_KEY is not a platform key here: ${error.message}`);
    throw error;
  }
}

/** An empty batch is refused for being empty, once the key has passed. */
async function requireScopes({ url, key, source }: Access): Promise<void> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const post = await ask(`${url}/v1/events`, { method: 'POST', headers, body: '[]' });
  const read = await ask(`${url}/v1/windows?limit=1`, { headers });
  if (post.code === 'empty_batch' && read.status === 200) return;
  const { status, text } = post.code === 'empty_batch' ? read : post;
  throw new LoadError(`the key (${source}) is not right for ${url}: ${status} ${text.slice(0, 300)}`);
}

async function ask(url: string, init: RequestInit = {}) {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
  const text = await response.text();
  const code = text.startsWith('{') ? (JSON.parse(text) as { code?: string }).code : undefined;
  return { status: response.status, text, code };
}

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { buildProgram } from '../support/buildProgram.ts';
import { describeEngine } from '../support/database.ts';
import { startListeningService } from '../support/listening.ts';
import { blockNamed, ROOT, readMarkdown } from '../support/markdown.ts';
import { installedProgram } from '../support/program.ts';
import { runFolder } from '../support/runFolder.ts';

const run = promisify(execFile);
/** What the page calls as `npx tidemark`, as it has been built. */
const NPX = `set -eo pipefail; npx() { shift; ${process.execPath} ${ROOT}/dist/faces/cli/tidemark.js "$@"; }\n`;

describeEngine('the page about checking a bill', () => {
  beforeAll(async () => {
    await Promise.all([installedProgram('curl'), buildProgram()]);
  }, 300_000);

  it('has a bill checked, a changed event found, and the digest made without us', async () => {
    const [t, page] = [await startListeningService(), await readMarkdown('docs/proof.md')];
    onTestFinished(() => t.stop());
    const folder = await mkdtemp(join(await runFolder(), 'proof-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const env = {
      ...{ PATH: process.env.PATH, HOME: process.env.HOME },
      ...{ URL: t.server.address, KEY: t.key, DATABASE_URL: t.database.url, DATA_DIR: join(folder, 'data') },
    };
    const bash = async (code: string) => {
      const ran =
        NPX +
        code.replace(/^export URL=\S+ KEY=\S+.*$/m, '').replace('--tenant demo', `--tenant ${t.tenantId}`);
      return (await run('bash', ['-c', ran], { cwd: folder, env })).stdout;
    };

    expect(await bash(blockNamed(page, 'proof'))).toBe(
      '{"accepted":2,"duplicates":0}windows that agree: 2, that differ: 0\n',
    );
    await expect(bash(blockNamed(page, 'changed'))).rejects.toMatchObject({
      code: 1,
      stdout: expect.stringMatching(
        /sha256 was told as .*\n.*tokens was told as 1500, of the events it is 1501\n/s,
      ),
    });

    const told = JSON.parse(await readFile(join(folder, 'windows.json'), 'utf8'));
    const digests = told.data.map(({ digest }: { digest: { sha256: string } }) => digest.sha256);
    expect(digests).toHaveLength(2);
    await writeFile(join(folder, 'own.mjs'), blockNamed(page, 'own'));
    const events = gunzipSync(await readFile(join(folder, 'events.ndjson.gz')));
    await writeFile(join(folder, 'events.ndjson'), events);
    const own = await bash(`node own.mjs < events.ndjson`);
    expect(
      own
        .trimEnd()
        .split('\n')
        .map((line) => line.slice(-64)),
    ).toEqual(digests);

    const verify = (args: string) => bash(`npx tidemark verify events.ndjson.gz ${args}`);
    expect(await verify('')).toBe(
      `windowStart,tenantId,customerId,events,tokens,inputTokens,outputTokens,value,sha256\r\n${told.data
        .map(
          ({ windowStart, digest }: { windowStart: string; digest: Record<string, unknown> }) =>
            `${windowStart},${t.tenantId},acme,1,${digest.tokens},0,0,${digest.value},${digest.sha256}\r\n`,
        )
        .join('')}`,
    );
    const expected = digests.map((digest: string) => `--expect ${digest}`).join(' ');
    expect(await verify(expected)).toBe('expected digests that are there: 2\n');
    const none = 'f'.repeat(64);
    await expect(verify(`--expect ${none}`)).rejects.toMatchObject({
      code: 1,
      stdout: `no window has the digest ${none}\n`,
    });
    await expect(verify('--expect abc')).rejects.toMatchObject({ code: 2 });
    await expect(verify('--windows none.json')).rejects.toMatchObject({
      code: 1,
      stderr: 'tidemark: none.json: there is no such file\n',
    });
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { FAST_DELIVERY, newSecret, subscribe, writeMessages } from '../../support/messages.ts';
import { runFolder } from '../../support/runFolder.ts';
import { startTestService } from '../../support/service.ts';
import { stablePort } from '../../support/stablePort.ts';

const DOC = new URL('../../../docs/delivery.md', import.meta.url);

describeEngine('the receiver in the documentation', () => {
  it('takes what is signed, once, and nothing else', async () => {
    const code = /```js\n([\s\S]*?)```/.exec(await readFile(DOC, 'utf8'))![1]!;
    const file = join(await mkdtemp(join(await runFolder(), 'receiver-')), 'receiver.mjs');
    await writeFile(file, code);
    const [port, secret] = [await stablePort(), newSecret()];
    const child = spawn(process.execPath, [file], {
      env: { WEBHOOK_SECRET: secret, PORT: String(port) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const t = await startTestService(FAST_DELIVERY);
    try {
      const lines = createInterface(child.stdout);
      const { id, key } = await t.tenant();
      const url = `http://127.0.0.1:${port}/`;
      const right = await subscribe(t.sql, id, { url, secret });
      const wrong = await subscribe(t.sql, id, { url, types: ['none'] });
      const [messageId] = await writeMessages(t.sql, id, [{ customerId: 'c', payload: { n: '1' } }]);
      const [line] = await once(lines, 'line', { signal: AbortSignal.timeout(20_000) });
      expect(line).toMatch(
        /^usage\.threshold \{"type":"usage\.threshold","timestamp":".*","data":\{"n": "1"\}\}$/,
      );
      expect(messageId).toBeDefined();
      const test = async (subscription: string) =>
        (await t.call('POST', `/v1/subscriptions/${subscription}/test`, { key })).body;
      expect(await test(right)).toMatchObject({ delivered: true, status: 204 });
      expect(await test(wrong)).toMatchObject({ delivered: false, status: 401 });
    } finally {
      child.kill('SIGKILL');
      await t.stop();
    }
  });
});

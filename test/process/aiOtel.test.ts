import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { describeEngine } from '../support/database.ts';
import { FakeOpenAi } from '../support/fakeOpenAi.ts';
import { startListeningService } from '../support/listening.ts';

const FOLDER = fileURLToPath(new URL('../../examples/ai-otel/', import.meta.url));

const read = (path: string) => JSON.parse(readFileSync(`${FOLDER}${path}`, 'utf8'));

describeEngine('examples/ai-otel', () => {
  it('is metered by an address and a header alone', async () => {
    const [t, openAi] = await Promise.all([startListeningService(), FakeOpenAi.start()]);
    try {
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--import', './instrumentation.js', 'app.js'],
        {
          cwd: FOLDER,
          env: {
            PATH: process.env.PATH,
            OTEL_SERVICE_NAME: 'hello',
            OTEL_EXPORTER_OTLP_ENDPOINT: `${t.server.address}/otlp`,
            OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${t.key}`,
            OPENAI_BASE_URL: openAi.url,
            OPENAI_API_KEY: 'none',
          },
        },
      );
      expect(stdout).toBe('ada: Hello\ngrace: Hello\n');
      const { body } = await t.call('GET', '/v1/usage?granularity=1d&groupBy=customer,model', { key: t.key });
      const rows = body.data.map(({ customerId, model, calls, tokens }: Record<string, unknown>) => [
        customerId,
        model,
        calls,
        tokens,
      ]);
      expect(rows.sort()).toEqual([
        ['ada', 'gpt-4o-2024-08-06', 1, 1300],
        ['grace', 'gpt-4o-2024-08-06', 1, 1300],
      ]);
      const { body: events } = await t.call('GET', '/v1/events', { key: t.key });
      expect(events.data.map(({ sourceId }: { sourceId: string }) => sourceId)).toEqual(['hello', 'hello']);
    } finally {
      await Promise.all([t.stop(), openAi.stop()]);
    }
  });

  it('has the versions that are tested', () => {
    const { dependencies } = read('package.json');
    for (const [name, version] of Object.entries(dependencies)) {
      expect([name, read(`../../node_modules/${name}/package.json`).version]).toEqual([name, version]);
    }
  });
});

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { describeEngine } from '../support/database.ts';
import { FakeOpenAi } from '../support/fakeOpenAi.ts';
import { startListeningService } from '../support/listening.ts';
import { blockNamed, ROOT, readMarkdown } from '../support/markdown.ts';
import { answersOf, pageEnvironment } from '../support/pageCommands.ts';
import { installedProgram } from '../support/program.ts';

const run = promisify(execFile);

describeEngine('the pages about AI usage and its costs', () => {
  beforeAll(() => installedProgram('curl'), 300_000);

  const begin = async (path: string) => {
    const t = await startListeningService();
    onTestFinished(() => t.stop());
    return { t, page: await readMarkdown(path) };
  };
  const ok = { accepted: 1, duplicates: 0 };

  it('ai.md walks from an OpenAI call to its cost', async () => {
    const { t, page } = await begin('docs/ai.md');
    const openAi = await FakeOpenAi.start();
    onTestFinished(() => openAi.stop());

    const [first, second, usage] = await answersOf(t, blockNamed(page, 'objects'));
    expect([first, second]).toEqual([ok, ok]);
    expect(
      usage.data.map(({ model, inputTokens, outputTokens }: Record<string, unknown>) => [
        model,
        inputTokens,
        outputTokens,
      ]),
    ).toEqual([
      ['claude-opus-4-7', 1_000, 300],
      ['gpt-5', 1_000, 300],
    ]);

    const { stdout } = await run(
      process.execPath,
      ['--input-type=module', '--eval', blockNamed(page, 'call')],
      {
        cwd: ROOT, // whose openai it imports
        env: { ...pageEnvironment(t), OPENAI_BASE_URL: openAi.url, OPENAI_API_KEY: 'none' },
      },
    );
    expect(stdout).toBe('{ accepted: 1, duplicates: 0 }\n');

    const [prices, costs, unpriced, rule] = await answersOf(t, blockNamed(page, 'cost'));
    expect(prices).toMatchObject({ priceVersion: 1, data: [{ model: 'gpt-4o', match: 'prefix' }] });
    expect(costs.data).toMatchObject([
      {
        customerId: 'globex',
        model: 'gpt-4o-2024-08-06',
        ...{ calls: 1, unknownCalls: 0 },
        tokens: { input: 136, output: 100, cachedInput: 800, reasoning: 200, cacheWrite: 64 },
        costs: [{ currency: 'USD', amount: '0.0045', number: 0.0045, calls: 1 }],
        unpriced: { calls: 0, unknownCalls: 0, tokens: {} },
      },
    ]);
    expect(unpriced.data).toMatchObject([
      { model: 'claude-opus-4-7', costs: [], unpriced: { calls: 1 } },
      { model: 'gpt-5', costs: [], unpriced: { calls: 1 } },
    ]);
    expect(rule).toMatchObject({ measure: 'cost', currency: 'USD', period: 'month', threshold: '100' });
  });

  it('costs.md has its costs corrected, and alerts on them', async () => {
    const { t, page } = await begin('docs/costs.md');
    const amounts = (answer: { data: { costs: { amount: string }[] }[] }) =>
      answer.data.map(({ costs }) => costs.map(({ amount }) => amount));
    const [, event, costs] = await answersOf(t, blockNamed(page, 'first'));
    expect(event).toEqual(ok);
    expect([costs.priceVersion, amounts(costs)]).toEqual([1, [['0.0045']]]);
    const [shown] = JSON.parse(/```json\n([\s\S]*?)```/.exec(page)![1]!).data;
    const { bucket: _, bucketEnd: __, ...rest } = shown;
    expect(costs.data).toMatchObject([rest]);

    const [corrected, now, before] = await answersOf(t, blockNamed(page, 'corrected'));
    expect(corrected.data).toMatchObject([{ version: 2, unitPrices: { output: '0.000008' } }]);
    expect([now.priceVersion, amounts(now)]).toEqual([2, [['0.0036']]]);
    expect([before.priceVersion, amounts(before)]).toEqual([1, [['0.0045']]]);

    const rules = await answersOf(t, blockNamed(page, 'alerts'));
    expect(rules).toMatchObject([
      { measure: 'cost', currency: 'USD', threshold: '100' },
      { field: 'cost', currency: 'USD', threshold: '0.5' },
    ]);
  });
});

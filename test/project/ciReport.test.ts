import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const FILE = resolve('test/some.test.ts');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidemark-report-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

type Status = 'passed' | 'failed' | 'pending';

/** What vitest writes of one file, by the states of its tests: none where it does not load. */
const fileOf = (tests: Record<string, Status>, broken = false) => ({
  name: FILE,
  status: broken || Object.values(tests).includes('failed') ? 'failed' : 'passed',
  message: broken ? 'cannot be loaded' : '',
  assertionResults: Object.entries(tests).map(([fullName, status]) => ({
    fullName,
    status,
    failureMessages: status === 'failed' ? [`${fullName} went wrong`] : [],
  })),
});

function report(name: string, ...files: ReturnType<typeof fileOf>[]): void {
  const states = files.flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status));
  const count = (wanted: Status) => states.filter((status) => status === wanted).length;
  writeFileSync(
    join(folder, `${name}.json`),
    JSON.stringify({
      numPassedTests: count('passed'),
      numPendingTests: count('pending'),
      numTodoTests: 0,
      success: files.every(({ status }) => status === 'passed'),
      testResults: files,
    }),
  );
}

function run(...args: string[]): { status: number | null; lines: string[] } {
  const { status, stdout } = spawnSync('node', ['.ci/report.mjs', ...args], { encoding: 'utf8' });
  return { status, lines: stdout.trim().split('\n') };
}

describe('the counts of .ci/run', () => {
  it('are those of both runs', () => {
    report('test', fileOf({ a: 'passed', b: 'pending' }));
    report('long', fileOf({ c: 'passed' }));
    expect(run('count', folder)).toEqual({ status: 0, lines: ['2 passed, 0 failed, 1 skipped'] });
  });

  it('have what failed, with its reason, and so has the list of files', () => {
    report('test', fileOf({ a: 'passed', b: 'failed' }));
    report('long', fileOf({ c: 'passed' }));
    expect(run('count', folder)).toEqual({
      status: 1,
      lines: ['FAILED test/some.test.ts: b', '  b went wrong', '2 passed, 1 failed'],
    });
    expect(run('failed', folder, 'test').lines).toEqual(['test/some.test.ts']);
    expect(run('failed', folder, 'long').lines).toEqual(['']);
  });

  it('have a run without a report, without a test that passed, or that failed by no test', () => {
    report('test', fileOf({ a: 'passed' }));
    expect(run('count', folder).lines.at(-1)).toBe('1 passed, 1 failed');
    report('long', fileOf({ c: 'pending' }));
    expect(run('count', folder).lines.at(-1)).toBe('1 passed, 1 failed, 1 skipped');
    report('long', fileOf({ c: 'passed' }));
    writeFileSync(join(folder, 'test.json'), '{"numPassedTests":1,"success":false,"testResults":[]}');
    expect(run('count', folder)).toEqual({ status: 1, lines: ['2 passed, 1 failed'] });
  });

  it('take what passes alone as passed, and tell it', () => {
    report('test', fileOf({ a: 'passed' }));
    report('long', fileOf({ b: 'failed', c: 'passed' }));
    report('again.long', fileOf({ b: 'passed', c: 'passed' }));
    const { status, lines } = run('count', folder);
    expect([status, lines[0], lines.at(-1)]).toEqual([
      0,
      'FAILED BESIDE OTHERS, PASSED ALONE test/some.test.ts: b',
      '3 passed, 0 failed',
    ]);
  });

  it.each([
    ['fails again', [fileOf({ b: 'failed' })]],
    ['fails again on one engine', [fileOf({ b: 'passed' }), fileOf({ b: 'failed' })]],
    ['is skipped then', [fileOf({ b: 'pending' })]],
    ['is not there any more', [fileOf({ c: 'passed' })]],
    ['does not load then', [fileOf({}, true)]],
  ])('have a failure that %s', (_, files) => {
    report('test', fileOf({ a: 'passed' }));
    report('long', fileOf({ b: 'failed', c: 'passed' }));
    report('again.long', ...files);
    expect(run('count', folder)).toMatchObject({ status: 1 });
    expect(run('count', folder).lines.at(-1)).toMatch(/^2 passed, 1 failed/);
  });

  it('have a file that does not load, unless it passes alone', () => {
    report('test', fileOf({ a: 'passed' }));
    report('long', fileOf({ c: 'passed' }), { ...fileOf({}, true), name: resolve('test/other.test.ts') });
    expect(run('count', folder).lines).toEqual([
      'FAILED test/other.test.ts: does not run',
      '  cannot be loaded',
      '2 passed, 1 failed',
    ]);
    report('again.long', { ...fileOf({ b: 'passed' }), name: resolve('test/other.test.ts') });
    expect(run('count', folder)).toMatchObject({ status: 0 });
  });
});

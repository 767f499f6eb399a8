// What the reports of both runs of tests say, which are NAME.json in a folder, and AGAIN.NAME.json what of NAME was run again.
//   node .ci/report.mjs failed FOLDER NAME   the files in which something failed, one a line
//   node .ci/report.mjs count FOLDER         what failed and why, and as the last line the counts; fails where something did
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const RUNS = ['test', 'long'];

function read(folder, name) {
  try {
    return JSON.parse(readFileSync(`${folder}/${name}.json`, 'utf8'));
  } catch {
    return { testResults: [] };
  }
}

/** A file that does not load, or cannot set up, fails without a failing test. */
const isBroken = ({ status, assertionResults }) =>
  status === 'failed' && !assertionResults.some((test) => test.status === 'failed');
const failedOf = ({ assertionResults }) => assertionResults.filter((test) => test.status === 'failed');

function failedFiles({ testResults }) {
  return [...new Set(testResults.filter(({ status }) => status === 'failed').map(({ name }) => name))];
}

/** Whether what failed in a file, a test or all of it, passed when it was run again: on each engine it was run on. */
function passedAgain(again, file, fullName) {
  const files = again.testResults.filter(({ name }) => name === file);
  if (files.length === 0 || files.some(isBroken)) return false;
  if (fullName === undefined) return files.every(({ status }) => status === 'passed');
  const tests = files
    .flatMap(({ assertionResults }) => assertionResults)
    .filter((test) => test.fullName === fullName);
  return tests.some(({ status }) => status === 'passed') && tests.every(({ status }) => status !== 'failed');
}

function tell(word, file, what, why) {
  console.log(
    `${word} ${relative(process.cwd(), file)}: ${what}\n  ${why.slice(0, 2_000).replaceAll('\n', '\n  ')}`,
  );
}

/** Something failed that no test stands for: no report, no test that passed, or an error outside of all tests. */
const isIncomplete = ({ numPassedTests = 0, success }, told) =>
  numPassedTests === 0 || (success === false && told === 0);

function count(folder) {
  let [passed, failed, skipped] = [0, 0, 0];
  for (const run of RUNS) {
    const report = read(folder, run);
    const again = read(folder, `again.${run}`);
    let told = 0;
    for (const result of report.testResults) {
      const { name: file, message } = result;
      const faults = failedOf(result).map((test) => [test.fullName, test.failureMessages.join('\n')]);
      if (isBroken(result)) faults.push([undefined, message]);
      for (const [fullName, why] of faults) {
        told++;
        const passes = passedAgain(again, file, fullName);
        tell(passes ? 'FAILED BESIDE OTHERS, PASSED ALONE' : 'FAILED', file, fullName ?? 'does not run', why);
        if (passes) passed++;
        else failed++;
      }
    }
    passed += report.numPassedTests ?? 0;
    failed += isIncomplete(report, told) ? 1 : 0;
    skipped += (report.numPendingTests ?? 0) + (report.numTodoTests ?? 0);
  }
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  process.exitCode = failed > 0 ? 1 : 0;
}

const [what, folder, name] = process.argv.slice(2);
if (what === 'failed') {
  for (const file of failedFiles(read(folder, name))) console.log(relative(process.cwd(), file));
} else {
  count(folder);
}

import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { curlOf } from './curl.ts';

const ORIGIN = 'http://127.0.0.1:8080';
/** What a shell makes of it. */
const words = (line: string) =>
  execFileSync('sh', ['-c', `printf '%s\\n' ${line}`], { env: { KEY: 'tm_key', PATH: process.env.PATH } })
    .toString()
    .trimEnd()
    .split('\n');

it('says a question as a command, without the key', () => {
  const line = curlOf(
    {
      path: '/v1/usage',
      query: { from: '2026-01-01T00:00:00Z', customerId: null, groupBy: 'customer,model' },
    },
    ORIGIN,
    null,
  );
  expect(line).toBe(
    `curl -s 'http://127.0.0.1:8080/v1/usage?from=2026-01-01T00:00:00Z&groupBy=customer,model' -H "Authorization: Bearer $KEY"`,
  );
});

it('survives a shell, whatever is in it', () => {
  const body = { customerId: `O'Brien $HOME \`id\` "x" \\ !`, n: 1 };
  const line = curlOf({ method: 'POST', path: '/v1/events', body }, ORIGIN, `te'nant`);
  expect(words(line)).toEqual([
    'curl',
    '-s',
    `${ORIGIN}/v1/events`,
    ...['-H', 'Authorization: Bearer tm_key'],
    ...['-H', `X-Tenant-Id: te'nant`],
    ...['-H', 'Content-Type: application/json'],
    ...['-d', JSON.stringify(body)],
  ]);
});

it('names a method that curl would not take by itself', () => {
  expect(curlOf({ method: 'DELETE', path: '/v1/keys/1' }, ORIGIN, null)).toContain('curl -s -X DELETE ');
  expect(curlOf({ method: 'PATCH', path: '/v1/tenants/a', body: {} }, ORIGIN, null)).toContain(
    'curl -s -X PATCH ',
  );
});

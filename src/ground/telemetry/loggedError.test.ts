import { describe, expect, it } from 'vitest';
import { TidemarkError } from '../../model/errors.ts';
import { loggedError } from './loggedError.ts';

const MARK = 'what-a-client-has-sent';
const logged = (error: unknown) => JSON.stringify(loggedError(error));

/** As the driver makes it of the server's message. */
function databaseError(code: string, fields: Record<string, string> = {}): Error {
  const error = new Error(`${code} of the database`);
  return Object.assign(error, { severity: 'ERROR', routine: 'ExecInsert', code, ...fields });
}

describe('what the log says of an error', () => {
  it('is its class, message, code, stack and causes', () => {
    const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    const error = new TidemarkError('database_unavailable', 'cannot be reached', { cause });
    expect(loggedError(error)).toMatchObject({
      type: 'TidemarkError',
      message: 'cannot be reached',
      code: 'database_unavailable',
      stack: expect.stringContaining('loggedError.test.ts'),
      cause: { type: 'Error', message: 'connect ECONNREFUSED', code: 'ECONNREFUSED' },
    });
  });

  it('is, of the database, what it names and not what it quotes', () => {
    const error = databaseError('23505', {
      detail: `Key (key_0)=(${MARK}) already exists.`,
      where: `COPY event, line 1, column metadata: "${MARK}"`,
      hint: MARK,
      internalQuery: `insert into event values ('${MARK}')`,
      table: 'event_key',
      constraint: 'event_key_0',
    });
    expect(loggedError(error)).toMatchObject({
      message: '23505 of the database',
      table: 'event_key',
      constraint: 'event_key_0',
    });
    expect(logged(error)).not.toContain(MARK);
  });

  it('withholds a message that quotes data, and keeps where it happened', () => {
    const bad = databaseError('22P02');
    bad.message = `invalid input syntax for type numeric: "${MARK}"`;
    bad.stack = `error: ${bad.message}\n    at somewhere`;
    expect(loggedError(bad)).toMatchObject({ code: '22P02', stack: 'Error\n    at somewhere' });
    expect(logged(bad)).not.toContain(MARK);
    const syntax = ((): unknown => {
      try {
        return JSON.parse(MARK);
      } catch (error) {
        return error;
      }
    })();
    expect((syntax as Error).message).toContain('what-a');
    expect(logged(syntax)).not.toContain('what-a');
    expect(logged(new Error('outer', { cause: syntax }))).not.toContain('what-a');
    expect(logged(new AggregateError([syntax], 'several'))).not.toContain('what-a');
  });

  it('leaves out what libraries hang on errors', () => {
    const reply = Object.assign(new Error('ERR wrong'), {
      command: { name: 'eval', args: [MARK] },
      input: MARK,
    });
    expect(logged(reply)).not.toContain(MARK);
    expect(logged({ some: MARK })).not.toContain(MARK);
  });

  it('ends where causes go round', () => {
    const error = new Error('round');
    error.cause = error;
    expect(logged(error).length).toBeLessThan(20_000);
  });
});

import { describe, expect, it } from 'vitest';
import { connectionLost, errorCode, remedyFor } from './sqlstate.ts';

const failure = (code?: unknown) => Object.assign(new Error('x'), code === undefined ? {} : { code });

describe('remedyFor', () => {
  it.each([
    ['57P01', 'reconnect'],
    ['57P02', 'reconnect'],
    ['57P03', 'reconnect'],
    ['08006', 'reconnect'],
    ['08001', 'reconnect'],
    ['08P01', 'unavailable'],
    ['25P03', 'reconnect'],
    ['53300', 'reconnect'],
    ['ECONNREFUSED', 'reconnect'],
    ['EPIPE', 'reconnect'],
    ['EAI_AGAIN', 'reconnect'],
    ['ERR_STREAM_DESTROYED', 'reconnect'],
    ['40001', 'retry'],
    ['40P01', 'retry'],
    ['55P03', 'retry'],
    ['57014', 'retry'],
    ['22021', 'reject'],
    ['22003', 'reject'],
    ['22P02', 'reject'],
    ['23514', 'reject'],
    ['54000', 'reject'],
    ['53100', 'unavailable'], // disk full
    ['53200', 'divide'], // out of memory
    ['53400', 'divide'],
    ['42P01', 'unavailable'],
    ['25006', 'unavailable'], // read only
    ['28P01', 'unavailable'],
    ['3D000', 'unavailable'],
    ['55000', 'unavailable'],
    ['57P04', 'unavailable'],
    ['58030', 'unavailable'],
    ['XX000', 'suspect'],
    ['0A000', 'suspect'],
    ['P0001', 'suspect'],
    ['99999', 'suspect'],
  ])('%s: %s', (code, remedy) => expect(remedyFor(failure(code))).toBe(remedy));

  it('takes an error without a code for a lost connection', () => {
    expect(remedyFor(failure())).toBe('reconnect');
    expect(remedyFor(new Error('Connection terminated unexpectedly'))).toBe('reconnect');
  });
});

describe('remedyFor a protocol violation', () => {
  it('is another connection where PgBouncer has ended this one', () => {
    expect(remedyFor(Object.assign(failure('08P01'), { severity: 'FATAL' }))).toBe('reconnect');
    expect(remedyFor(Object.assign(failure('08P01'), { severity: 'ERROR' }))).toBe('unavailable');
  });
});

describe('what TimescaleDB says to a session from before an update of the extension', () => {
  it.each([
    ['42710', 'unavailable'],
    ['0A000', 'suspect'],
  ])('%s: another connection, which has the new library', (code, otherwise) => {
    const [fatal, error] = ['FATAL', 'ERROR'].map((severity) => Object.assign(failure(code), { severity }));
    expect([remedyFor(fatal), connectionLost(fatal)]).toEqual(['reconnect', true]);
    expect([remedyFor(error), connectionLost(error)]).toEqual([otherwise, false]);
  });
});

describe('errorCode', () => {
  it('is the code where there is one that is a text', () => {
    expect(errorCode(failure('42P01'))).toBe('42P01');
    for (const error of [failure(), failure(5), null, undefined, 'text', {}]) {
      expect(errorCode(error)).toBeUndefined();
    }
  });
});

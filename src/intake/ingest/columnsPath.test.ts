import type pg from 'pg';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ColumnsPath } from './columnsPath.ts';

const WARNING = 'disabling direct compress because the destination table has unique constraints';

/** A database that answers what stands in the way, or fails. */
class Database {
  engine = 'timescale';
  why: string | null = null;
  error: (Error & { code?: string }) | null = null;
  asked = 0;
  chunks: { relation: string; from_micros: string; to_micros: string }[] = [];
  query = async (text: string) => {
    if (this.error) throw this.error;
    if (text === 'select engine from installation') return { rows: [{ engine: this.engine }] };
    if (text.includes('timescaledb_information.chunks')) return { rows: this.chunks };
    this.asked++;
    return { rows: [{ why: this.why }] };
  };
  get client() {
    return this as unknown as pg.Client;
  }
}

describe('the path into columns', () => {
  let database: Database;
  let lines: { level: number; msg: string; why?: string }[];
  let path: ColumnsPath;
  const make = (fromRows = 50) => {
    const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
    return new ColumnsPath({ fromRows, days: 7, spanMs: 1_000, log });
  };
  const said = () => lines.map(({ level, why }) => [level, why]);
  beforeEach(() => {
    vi.useFakeTimers({ now: Date.UTC(2026, 10, 29, 13) });
    database = new Database();
    lines = [];
    path = make();
  });
  afterEach(() => vi.useRealTimers());

  it('is not taken before the database has been asked', async () => {
    expect(path.rule.fromRows).toBe(Number.POSITIVE_INFINITY);
    await path.look(database.client);
    expect(path.rule).toMatchObject({
      fromRows: 50,
      sinceMicros: Date.UTC(2026, 10, 22) * 1_000,
      spanMicros: 1_000_000,
    });
    expect(lines).toEqual([]);
  });

  it('leads to chunks that are known, which are asked for again when a batch has lacked one, or one is gone', async () => {
    const chunkAt = (micros: number) => path.rule.chunkAt(micros)?.relation;
    database.chunks = [{ relation: 'first', from_micros: '10', to_micros: '20' }];
    await path.look(database.client);
    expect([10, 20].map(chunkAt)).toEqual(['first', undefined]);
    database.chunks.push({ relation: 'second', from_micros: '20', to_micros: '40' });
    vi.advanceTimersByTime(100);
    await path.look(database.client);
    expect(chunkAt(20)).toBeUndefined(); // nobody has lacked it
    path.lacked();
    await path.look(database.client);
    expect([20, 39, 40].map(chunkAt)).toEqual(['second', 'second', undefined]);
    expect(path.forgetChunks()).toBe(true);
    expect(path.forgetChunks()).toBe(false);
    expect(chunkAt(10)).toBeUndefined();
    path.lacked();
    await path.look(database.client);
    expect(chunkAt(10)).toBeUndefined(); // so often it is not asked
    vi.advanceTimersByTime(100);
    await path.look(database.client);
    expect(chunkAt(10)).toBe('first');
    expect(database.asked).toBe(1);
  });

  it('is asked for once a minute, whoever writes', async () => {
    for (let i = 0; i < 3; i++) await path.look(database.client);
    expect(database.asked).toBe(1);
    vi.advanceTimersByTime(60_000);
    await path.look(database.client);
    expect(database.asked).toBe(2);
  });

  it('is left when the server says that it falls back, once, until it can again', async () => {
    await path.look(database.client);
    expect(path.hear({ message: 'something else' })).toBe(false);
    expect(path.able).toBe(true);
    expect(path.hear({ message: WARNING })).toBe(true);
    expect(path.hear({ message: WARNING })).toBe(true);
    expect(path.rule.fromRows).toBe(Number.POSITIVE_INFINITY);
    expect(said()).toEqual([[40, WARNING]]);
    database.why = 'the table event has the unique index mine';
    vi.advanceTimersByTime(60_000);
    await path.look(database.client);
    expect(path.able).toBe(false);
    database.why = null;
    vi.advanceTimersByTime(60_000);
    await path.look(database.client);
    expect(path.able).toBe(true);
    expect(said()).toEqual([
      [40, WARNING],
      [30, undefined],
    ]);
  });

  it('is not there on the postgres engine, which nobody has to be told', async () => {
    database.engine = 'postgres';
    await path.look(database.client);
    expect([path.able, lines]).toEqual([false, []]);
  });

  it('is not there where the question is refused', async () => {
    database.error = Object.assign(new Error('permission denied'), { code: '42501' });
    await path.look(database.client);
    expect(said()).toEqual([[40, 'permission denied']]);
  });

  it('is asked for again after a connection that was lost', async () => {
    database.error = Object.assign(new Error('gone'), { code: '57P01' });
    await expect(path.look(database.client)).rejects.toThrow('gone');
    database.error = null;
    await path.look(database.client);
    expect(path.able).toBe(true);
  });

  it('is not asked for where it is not wanted', async () => {
    path = make(0);
    await path.look(database.client);
    expect([path.able, path.rule.fromRows, database.asked]).toEqual([false, Number.POSITIVE_INFINITY, 0]);
  });
});

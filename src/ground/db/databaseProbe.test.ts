import { EventEmitter } from 'node:events';
import type pg from 'pg';
import { describe, expect, it } from 'vitest';
import { DatabaseProbe } from './databaseProbe.ts';

/** As much of a connection as a probe uses. */
class Connection extends EventEmitter {
  readonly stream = Object.assign(new EventEmitter(), { destroyed: false, destroy: () => this.end() });
  readonly connection = { stream: this.stream };
  answers: 'at once' | 'never' = 'at once';
  private lose: ((error: Error) => void) | undefined;

  query(): Promise<void> {
    if (this.stream.destroyed) return Promise.reject(new Error('not queryable'));
    if (this.answers === 'at once') return Promise.resolve();
    return new Promise((_, reject) => {
      this.lose = reject;
    });
  }

  end(): void {
    this.stream.destroyed = true;
    this.lose?.(new Error('Connection terminated unexpectedly'));
  }
}

const probeOf = (connect: () => Promise<Connection>, timeoutMs = 20) =>
  new DatabaseProbe({ connect: connect as unknown as () => Promise<pg.Client>, timeoutMs });

describe('a probe', () => {
  it('keeps its connection, and opens another when that was ended', async () => {
    const opened: Connection[] = [];
    const probe = probeOf(async () => {
      opened.push(new Connection());
      return opened.at(-1)!;
    });
    await probe.ask();
    await probe.ask();
    expect(opened.length).toBe(1);
    opened[0]!.end();
    await probe.ask();
    expect(opened.length).toBe(2);
    probe.end();
    expect(opened[1]!.stream.destroyed).toBe(true);
  });

  it('fails when there is no answer in time, and leaves nothing open', async () => {
    const connection = Object.assign(new Connection(), { answers: 'never' as const });
    const probe = probeOf(async () => connection);
    await expect(probe.ask()).rejects.toThrow('does not answer');
    expect(connection.stream.destroyed).toBe(true);
  });

  it('takes a server without a free connection for one that is there, and one that refuses for one that is not', async () => {
    const refusing = (code: string) =>
      probeOf(() => Promise.reject(Object.assign(new Error('no'), { code })));
    await refusing('53300').ask();
    for (const code of ['ECONNREFUSED', '57P03', '28P01']) {
      await expect(refusing(code).ask()).rejects.toMatchObject({ code });
    }
  });

  it('keeps one of several connections that were opened at the same time', async () => {
    const opened: Connection[] = [];
    const probe = probeOf(async () => {
      opened.push(new Connection());
      return opened.at(-1)!;
    });
    await Promise.all([probe.ask(), probe.ask(), probe.ask()]);
    expect(opened.map(({ stream }) => stream.destroyed)).toEqual([false, true, true]);
  });
});

import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { describe, expect, it } from 'vitest';
import { createLogger } from '../telemetry/logger.ts';
import { BackgroundLoop } from './backgroundLoop.ts';

/** Says which of its connections were destroyed. */
function fakes() {
  const destroyed: number[] = [];
  let connections = 0;
  const connect = async () => {
    const at = connections++;
    const stream = { destroy: () => destroyed.push(at) };
    return { connection: { stream }, end: async () => undefined } as unknown as pg.Client;
  };
  return { destroyed, connect, connections: () => connections };
}

function logOf(levels: string[]) {
  const log = createLogger({ logLevel: 'silent' });
  for (const level of ['debug', 'info', 'warn', 'error'] as const) log[level] = () => levels.push(level);
  return log;
}

/** Rounds that fail with an error of a code, until there have been three of them. */
async function failing(code: string | undefined) {
  const { destroyed, connect, connections } = fakes();
  const levels: string[] = [];
  let rounds = 0;
  let done: () => void;
  const thrice = new Promise<void>((resolve) => {
    done = resolve;
  });
  const loop = new BackgroundLoop({
    ...{ name: 'failing', connect, intervalMs: 1, retryMs: 1, log: logOf(levels) },
    async round() {
      if (++rounds === 3) {
        done();
        return 1_000_000;
      }
      throw Object.assign(new Error(`no. ${rounds}`), { code });
    },
  });
  loop.start();
  await thrice;
  await loop.stop();
  return { destroyed, connections: connections(), levels };
}

describe('a round that fails', () => {
  it.each(['55P03', '40001', '40P01'])(
    'for another at the same work, %s, keeps its connection and warns nobody',
    async (code) => {
      expect(await failing(code)).toEqual({ destroyed: [], connections: 1, levels: ['debug', 'debug'] });
    },
  );

  it.each(['XX000', '57P01', '42P01', undefined])(
    'for any other reason, %s, goes on with another connection',
    async (code) => {
      expect(await failing(code)).toEqual({ destroyed: [0, 1], connections: 3, levels: ['warn', 'warn'] });
    },
  );
});

describe('a stop', () => {
  it('tells the round, and is no failure', async () => {
    const { connect } = fakes();
    const levels: string[] = [];
    let begun: () => void;
    const started = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const loop = new BackgroundLoop({
      ...{ name: 'told', connect, intervalMs: 1, retryMs: 1, log: logOf(levels) },
      async round(_client, signal) {
        begun();
        await sleep(1_000_000, undefined, { signal });
        return 0;
      },
    });
    loop.start();
    await started;
    await loop.stop();
    expect(levels).toEqual(['debug']);
  });

  it('ends though the server does not answer, nor lets anybody in', async () => {
    const log = createLogger({ logLevel: 'silent' });
    const loops = [
      new BackgroundLoop({
        ...{ name: 'silent', intervalMs: 1, retryMs: 1, log },
        connect: fakes().connect,
        round: () => new Promise(() => undefined),
      }),
      new BackgroundLoop({
        ...{ name: 'outside', intervalMs: 1, retryMs: 1, log },
        connect: () => new Promise(() => undefined),
        round: async () => 0,
      }),
    ];
    for (const loop of loops) loop.start();
    await Promise.all(loops.map((loop) => loop.stop()));
  });
});

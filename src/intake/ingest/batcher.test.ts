import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { batcher, codeOf, heldWrites, item, refusal, turn } from '../../../test/support/batching.ts';
import type { TidemarkError } from '../../model/errors.ts';

describe('batches', () => {
  it('join what is added in one turn, and give each item its own result', async () => {
    const { batches, write } = heldWrites();
    const queue = batcher({ write });
    const results = ['a', 'b', 'c'].map((name) => queue.add(item(name)));
    await turn();
    expect(batches.map(({ names }) => names)).toEqual([['a', 'b', 'c']]);
    batches[0]!.done();
    expect(await Promise.all(results)).toEqual(['a!', 'b!', 'c!']);
  });

  it('fill while the one before is written, in the order of arrival', async () => {
    const { batches, write } = heldWrites();
    const queue = batcher({ write });
    const results = [queue.add(item('a'))];
    await turn();
    for (const name of ['b', 'c', 'd']) {
      results.push(queue.add(item(name)));
      await turn();
    }
    expect(batches.map(({ names }) => names)).toEqual([['a']]);
    expect(queue.depth).toEqual({ rows: 3, bytes: 30, running: 1 });
    batches[0]!.done();
    await turn();
    expect(batches[1]!.names).toEqual(['b', 'c', 'd']);
    batches[1]!.done();
    await Promise.all(results);
    expect(queue.depth).toEqual({ rows: 0, bytes: 0, running: 0 });
  });

  it('keep to their bounds, but take one item that is larger by itself', async () => {
    const { batches, write } = heldWrites();
    const queue = batcher({ write, batchRows: 10, batchBytes: 100 });
    const items = [
      item('a', 6),
      item('b', 4),
      item('c', 1),
      item('huge', 50),
      item('d', 1, 60),
      item('e', 1, 60),
    ];
    const results = items.map((one) => queue.add(one));
    for (let i = 0; i < 5; i++) {
      await turn();
      batches[i]!.done();
    }
    await Promise.all(results);
    expect(batches.map(({ names }) => names)).toEqual([['a', 'b'], ['c'], ['huge'], ['d'], ['e']]);
  });

  it('run in as many lanes as there are, one at a time in each', async () => {
    const { batches, write } = heldWrites();
    const queue = batcher({ write, lanes: 2, batchRows: 1 });
    const results = ['a', 'b', 'c'].map((name) => queue.add(item(name)));
    await turn();
    expect(new Set(batches.map(({ lane }) => lane))).toEqual(new Set([0, 1]));
    expect(queue.depth.running).toBe(2);
    const [first] = batches;
    first!.done();
    await turn();
    expect(batches[2]).toMatchObject({ names: ['c'], lane: first!.lane });
    for (const batch of batches) batch.done();
    await Promise.all(results);
  });
});

describe('another lane', () => {
  it('is used for a batch that is worth one', async () => {
    const { batches, write } = heldWrites();
    const queue = batcher({ write, lanes: 2, laneRows: 4 });
    const results = [queue.add(item('running'))];
    await turn();
    results.push(queue.add(item('a', 3)), queue.add(item('b', 1)));
    await turn();
    expect(batches.map(({ names }) => names)).toEqual([['running'], ['a', 'b']]);
    for (const batch of batches) batch.done();
    await Promise.all(results);
  });

  it('is left alone by less, unless the first one takes its time', async () => {
    vi.useFakeTimers({ toFake: ['Date'] }); // time stands still, however busy the machine is
    const { batches, write } = heldWrites();
    const queue = batcher({ write, lanes: 2, laneRows: 100 });
    const results = [queue.add(item('running'))];
    await turn();
    results.push(queue.add(item('a')));
    await turn();
    results.push(queue.add(item('b')));
    await turn();
    expect(batches).toHaveLength(1);
    vi.setSystemTime(Date.now() + 100);
    await sleep(100);
    vi.useRealTimers();
    expect(batches.map(({ names }) => names)).toEqual([['running'], ['a', 'b']]);
    for (const batch of batches) batch.done();
    await Promise.all(results);
  });
});

describe('a full queue', () => {
  it('refuses at once, by rows or by bytes, and takes again when there is room', async () => {
    const { batches, write } = heldWrites();
    const queue = batcher({ write, queueRows: 5, queueBytes: 100 });
    const results = [queue.add(item('running'))];
    await turn();
    results.push(queue.add(item('a', 4)));
    const refused = refusal(queue, item('b', 2, 10, 'another'));
    expect(refused).toMatchObject({ code: 'overloaded', retryAfterSeconds: 1 });
    expect(refusal(queue, item('c', 1, 91, 'another')).code).toBe('overloaded');
    results.push(queue.add(item('d', 1, 90, 'another')));
    expect(queue.depth).toEqual({ rows: 5, bytes: 100, running: 1 });
    batches[0]!.done();
    await turn();
    results.push(queue.add(item('e', 5)));
    batches[1]!.done();
    await turn();
    batches[2]!.done();
    await Promise.all(results);
    expect(batches.map(({ names }) => names)).toEqual([['running'], ['a', 'd'], ['e']]);
  });

  it('takes an item larger than itself when it is empty', async () => {
    const queue = batcher({ queueRows: 5 });
    expect(await queue.add(item('huge', 500))).toBe('huge!');
  });
});

describe('errors', () => {
  it('of one item are its own', async () => {
    const { batches, write } = heldWrites();
    const queue = batcher({ write });
    const results = ['a', 'b', 'c'].map((name) => codeOf(queue.add(item(name))));
    await turn();
    batches[0]!.done(['a!', new Error('bad'), 'c!']);
    expect(await Promise.all(results)).toEqual(['written', 'Error: bad', 'written']);
  });

  it('of a write are those of its items, and the next batch goes on', async () => {
    for (const failing of [
      () => Promise.reject(new Error('gone')),
      () => {
        throw new Error('gone');
      },
    ]) {
      let writes = 0;
      const queue = batcher({
        batchRows: 2,
        write: (items) => (writes++ === 0 ? failing() : Promise.resolve(items.map(({ name }) => name))),
      });
      const results = ['a', 'b', 'c'].map((name) => codeOf(queue.add(item(name))));
      expect(await Promise.all(results)).toEqual(['Error: gone', 'Error: gone', 'written']);
      expect(queue.depth).toEqual({ rows: 0, bytes: 0, running: 0 });
    }
  });
});

describe('the deadline', () => {
  it('takes an item that waits out of the queue, unwritten', async () => {
    const { batches, write } = heldWrites();
    const queue = batcher({ write, deadlineMs: 150 });
    const running = codeOf(queue.add(item('running')));
    await turn();
    const waiting = codeOf(queue.add(item('waiting')));
    expect(await waiting).toBe('deadline_exceeded');
    expect(queue.depth).toMatchObject({ rows: 0, bytes: 0 });
    batches[0]!.done();
    await turn();
    expect(batches).toHaveLength(1);
    expect(await running).toBe('deadline_exceeded');
  });

  it('counts from when the caller says, wherever the item is by then', async () => {
    const { batches, write } = heldWrites();
    const queue = batcher({ write, deadlineMs: 1_000 });
    const ago = (ms: number) => Date.now() - ms;
    const started = performance.now();
    expect(await codeOf(queue.add(item('too late'), ago(1_000)))).toBe('deadline_exceeded');
    const running = queue.add(item('running'), ago(900));
    await turn();
    const waiting = queue.add(item('waiting'), ago(850));
    expect(await Promise.all([codeOf(running), codeOf(waiting)])).toEqual([
      'deadline_exceeded',
      'deadline_exceeded',
    ]);
    expect(performance.now() - started).toBeLessThan(900);
    expect(batches.map(({ names }) => names)).toEqual([['running']]);
    batches[0]!.done();
    await turn();
    batches[1]!.done();
    await queue.close();
  });

  it('answers for an item that is being written, which goes on', async () => {
    const { batches, write } = heldWrites();
    const queue = batcher({ write, deadlineMs: 150 });
    const error = await queue.add(item('slow')).catch((fault) => fault);
    expect(error).toMatchObject({ code: 'deadline_exceeded', retryAfterSeconds: 1 });
    expect(error.message).toContain('retry with the same event ids');
    expect(queue.depth.running).toBe(1);
    const next = queue.add(item('next'));
    batches[0]!.done();
    await turn();
    batches[1]!.done();
    expect(await next).toBe('next!');
  });
});

describe('close', () => {
  it('waits for what runs and what waits, and takes nothing more', async () => {
    const { batches, write } = heldWrites();
    const queue = batcher({ write, batchRows: 1 });
    const results = ['a', 'b'].map((name) => queue.add(item(name)));
    await turn();
    let closed = false;
    const closing = queue.close().then(() => {
      closed = true;
    });
    expect(refusal(queue, item('c'))).toMatchObject({ code: 'shutting_down', retryAfterSeconds: 1 });
    for (const i of [0, 1]) {
      expect(closed).toBe(false);
      batches[i]!.done();
      await turn();
    }
    await closing;
    expect(await Promise.all(results)).toEqual(['a!', 'b!']);
  });

  it('settles too when the last batch fails, and at once when there is nothing', async () => {
    await batcher({}).close();
    const queue = batcher({ write: () => Promise.reject(new Error('gone')) });
    const result = codeOf(queue.add(item('a')));
    await queue.close();
    expect(await result).toBe('Error: gone');
  });
});

it('settles every item once, within all bounds, whatever comes', async () => {
  const step = fc.record({
    rows: fc.integer({ min: 1, max: 12 }),
    bytes: fc.integer({ min: 1, max: 60 }),
    flow: fc.constantFrom('a', 'b', 'c'),
    pause: fc.boolean(),
    fate: fc.constantFrom('written', 'refused', 'lost' as const),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.integer({ min: 1, max: 3 }),
      async (steps, lanes) => {
        const bounds = { batchRows: 10, batchBytes: 50, queueRows: 30, queueBytes: 150, sharedBatchRows: 6 };
        const written: string[] = [];
        let running = 0;
        const queue = batcher({
          ...bounds,
          lanes,
          write: async (items) => {
            expect(++running).toBeLessThanOrEqual(lanes);
            const rows = items.reduce((sum, { rows }) => sum + rows, 0);
            const bytes = items.reduce((sum, { bytes }) => sum + bytes, 0);
            if (items.length > 1) {
              expect(rows).toBeLessThanOrEqual(bounds.batchRows);
              expect(bytes).toBeLessThanOrEqual(bounds.batchBytes);
            }
            await new Promise(setImmediate);
            running--;
            const fates = items.map(({ name }) => steps[Number(name)]!.fate);
            if (fates.includes('lost')) throw new Error('lost');
            written.push(...items.filter((_, i) => fates[i] === 'written').map(({ name }) => name));
            return items.map(({ name }, i) => (fates[i] === 'written' ? name : new Error('refused')));
          },
        });
        const settled = new Map<string, string>();
        for (const [i, { rows, bytes, flow, pause }] of steps.entries()) {
          const name = String(i);
          const settle = (how: string) => {
            expect(settled.has(name)).toBe(false);
            settled.set(name, how);
          };
          const before = queue.depth;
          try {
            queue.add({ name, rows, bytes, flow }).then(settle, (error) => settle(error.message));
          } catch (error) {
            expect((error as TidemarkError).code).toBe('overloaded');
            // Some of it waits, and neither is there room for twice all that waits and this.
            const twice = 3 * (before.rows + rows) > 2 * bounds.queueRows;
            expect(before.rows > 0 && (twice || 3 * (before.bytes + bytes) > 2 * bounds.queueBytes)).toBe(
              true,
            );
            settle('overloaded');
          }
          if (pause) await new Promise(setImmediate);
        }
        await queue.close();
        await Promise.resolve();
        expect(settled.size).toBe(steps.length);
        expect(queue.depth).toEqual({ rows: 0, bytes: 0, running: 0 });
        for (const name of written) expect(settled.get(name)).toBe(name);
        expect([...settled].filter(([name, how]) => name === how)).toHaveLength(written.length);
        for (const flow of lanes === 1 ? ['a', 'b', 'c'] : []) {
          const numbers = written.map(Number).filter((i) => steps[i]!.flow === flow);
          expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
        }
      },
    ),
  );
});

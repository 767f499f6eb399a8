import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  batcher,
  codeOf,
  drain,
  type HeldBatch,
  heldWrites,
  item,
  turn,
} from '../../../test/support/batching.ts';
import type { BatcherOptions } from './batcher.ts';

const of = (flow: string, i: number, rows = 1) => item(`${flow}${i}`, rows, 10, flow);
const several = (flow: string, count: number, rows: number) =>
  Array.from({ length: count }, (_, i) => of(flow, i, rows));
const namesIn = (batches: HeldBatch[]) => batches.map(({ names }) => names);

/** Bounds that nothing here reaches but batches. */
const large = { batchRows: 2_000, sharedBatchRows: 500, batchBytes: 1e6, queueRows: 1e6, queueBytes: 1e9 };

describe('several flows', () => {
  it('share a batch evenly, each in its order', async () => {
    const { batches, write } = heldWrites();
    const queue = batcher({ ...large, write, sharedBatchRows: 2_000 });
    const results = [queue.add(item('running'))];
    await turn();
    for (const one of [...several('a', 40, 100), ...several('b', 40, 50), of('c', 0)]) {
      results.push(queue.add(one));
    }
    batches[0]!.done();
    await turn();
    const { names } = batches[1]!;
    const itemsOf = (flow: string) => names.filter((name) => name.startsWith(flow)).length;
    expect(names).toContain('c0');
    expect(Math.abs(itemsOf('a') * 100 - itemsOf('b') * 50)).toBeLessThanOrEqual(350);
    await drain(queue, batches);
    await Promise.all(results);
    for (const flow of ['a', 'b']) {
      const numbers = namesIn(batches)
        .flat()
        .filter((name) => name.startsWith(flow))
        .map((name) => Number(name.slice(1)));
      expect(numbers).toEqual(Array.from({ length: 40 }, (_, i) => i));
    }
  });

  it('a newcomer is in the next batch, however much of others waits', async () => {
    const { batches, write } = heldWrites();
    const queue = batcher({ ...large, write, batchRows: 500 });
    const results = [queue.add(item('running'))];
    await turn();
    for (let flow = 0; flow < 50; flow++) {
      for (const one of several(`flood${flow} `, 4, 500)) results.push(queue.add(one));
    }
    let written = 1;
    for (; written < 80; written++) {
      batches[written - 1]!.done();
      await turn();
      if (written > 60 && written % 5 === 0) {
        const name = `victim ${written}`;
        results.push(queue.add(item(name, 1, 10, 'victim')));
        batches[written]!.done();
        await turn();
        written++;
        expect(batches[written]!.names).toContain(name);
      }
    }
    await drain(queue, batches);
    await Promise.all(results);
  });

  it('of one lane share it', async () => {
    const queue = batcher({ lanes: 1, sharedBatchRows: 2 });
    const names = ['a', 'b', 'a', 'c', 'a'].map((flow, i) => of(flow, i));
    expect(await Promise.all(names.map((one) => queue.add(one)))).toEqual(
      names.map(({ name }) => `${name}!`),
    );
  });

  it.each([
    ['rows', { queueRows: 30 }],
    ['bytes', { queueBytes: 300 }],
  ])('are left a third of the queue, by %s, whoever fills the rest', async (_, bounds) => {
    const { batches, write } = heldWrites();
    const queue = batcher({ write, batchRows: 100, sharedBatchRows: 100, ...bounds });
    const results = [queue.add(item('running'))];
    await turn();
    const fill = (flow: string) => {
      for (let taken = 0; ; taken++) {
        try {
          results.push(queue.add(of(flow, taken)));
        } catch (error) {
          expect(error).toMatchObject({ code: 'overloaded' });
          return taken;
        }
      }
    };
    expect(fill('flood')).toBe(20);
    expect(fill('flood')).toBe(0);
    expect(fill('second')).toBe(7);
    results.push(queue.add(item('big', 3, 30, 'victim')));
    expect(queue.depth).toMatchObject({ rows: 30, bytes: 300 });
    await drain(queue, batches);
    await Promise.all(results);
    expect(queue.depth).toEqual({ rows: 0, bytes: 0, running: 0 });
  });

  it('keep their deadlines, each entry its own', async () => {
    const { batches, write } = heldWrites();
    const queue = batcher({ write, deadlineMs: 150 });
    const running = codeOf(queue.add(item('running')));
    await turn();
    const early = ['a', 'b'].map((flow) => codeOf(queue.add(of(flow, 0))));
    await sleep(90);
    const late = ['b', 'a', 'c'].map((flow) => codeOf(queue.add(of(flow, 1))));
    expect(await Promise.all(early)).toEqual(['deadline_exceeded', 'deadline_exceeded']);
    expect(queue.depth.rows).toBe(3);
    batches[0]!.done();
    await turn();
    expect(batches[1]!.names.toSorted()).toEqual(['a1', 'b1', 'c1']);
    batches[1]!.done();
    expect(await Promise.all(late)).toEqual(['written', 'written', 'written']);
    expect(await running).toBe('deadline_exceeded');
  });
});

/* A flow's first 250 rows go ahead, so the first item of a flood does, and the others wait for their turn. */
describe('while flows share the lanes', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'] }); // time stands still, however busy the machine is
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  function sharing(options: Partial<BatcherOptions<ReturnType<typeof of>, string>>) {
    const { batches, write } = heldWrites();
    const queue = batcher({ ...large, lanes: 2, laneRows: 200, write, ...options });
    const results: Promise<string>[] = [];
    const add = async (...items: ReturnType<typeof of>[]) => {
      results.push(...items.map((one) => queue.add(one)));
      await turn();
    };
    /** Lets a batch go. */
    const done = async (name: string) => {
      batches.find(({ names }) => names.includes(name))!.done();
      await turn();
    };
    const end = async () => {
      await drain(queue, batches);
      await Promise.all(results);
    };
    return { batches, queue, add, done, end };
  }

  it('what goes ahead is not in one batch with turns, and has a lane that they leave free', async () => {
    const { batches, queue, add, done, end } = sharing({});
    await add(...several('flood', 20, 250), of('small', 0, 100));
    expect(namesIn(batches)).toEqual([
      ['flood0', 'small0'],
      ['flood1', 'flood2'],
    ]);
    await done('small0');
    expect(queue.depth).toMatchObject({ rows: 17 * 250, running: 1 });
    await add(of('small', 1));
    expect(batches[2]!.names).toEqual(['small1']);
    await add(of('small', 2), of('other', 0, 200));
    await done('small1');
    expect(batches[3]!.names).toEqual(['small2', 'other0']);
    await done('small2');
    expect(queue.depth.running).toBe(1);
    await end();
  });

  it('turns have all the lanes but one, and small batches; what goes ahead has any lane, and whole batches', async () => {
    const { batches, queue, add, done, end } = sharing({ lanes: 3 });
    await add(of('other', 0), ...several('flood', 20, 250));
    expect(namesIn(batches)).toEqual([
      ['other0', 'flood0'],
      ['flood1', 'flood2'],
      ['flood3', 'flood4'],
    ]);
    await done('other0');
    expect(queue.depth.running).toBe(2);
    await done('flood1');
    expect(batches[3]!.names).toEqual(['flood5', 'flood6']);

    const crowd = Array.from({ length: 15 }, (_, i) => of(`small${i} `, 0, 100));
    await add(...crowd);
    expect(batches[4]!.names).toEqual(crowd.map(({ name }) => name));
    await add(of('late', 0));
    await done('flood3');
    expect(batches[5]!.names).toEqual(['late0']);
    expect(queue.depth.running).toBe(3);
    await end();
  });

  it('a flood of few large requests leaves a lane too', async () => {
    const { batches, queue, add, done, end } = sharing({});
    await add(of('flood', 0, 1_000), of('small', 0));
    expect(namesIn(batches)).toEqual([['small0'], ['flood0']]);
    await done('small0');
    await add(of('flood', 1, 1_000));
    expect(queue.depth).toMatchObject({ rows: 1_000, running: 1 });
    await add(of('small', 1));
    expect(batches[2]!.names).toEqual(['small1']);
    await done('flood0');
    expect(batches[3]!.names).toEqual(['flood1']);
    await end();
  });

  it('turns do not starve: when none runs, the next free lane is theirs', async () => {
    const { batches, add, done, end } = sharing({});
    await add(...several('flood', 20, 250), of('small', 0));
    await add(of('small', 1), of('other', 0, 200));
    await done('flood1');
    expect(batches[2]!.names).toEqual(['flood3', 'flood4']);
    await done('small0');
    expect(batches[3]!.names).toEqual(['small1', 'other0']);
    await end();
  });

  it('turns have the last lane too where their batches hang, and small requests whatever is free first', async () => {
    const { batches, queue, add, done, end } = sharing({ deadlineMs: 60_000 });
    await add(...several('flood', 20, 250), of('small', 0));
    await done('small0');
    expect(queue.depth.running).toBe(1);
    vi.setSystemTime(Date.now() + 250);
    await add(of('small', 1));
    expect(batches[2]!.names).toEqual(['flood3', 'flood4']);
    await done('flood3');
    expect(batches[3]!.names).toEqual(['flood5', 'flood6']);
    await done('flood1');
    expect(batches[4]!.names).toEqual(['small1']);
    await end();
  });

  it('turns rest after each batch for as long as it took, while somebody asks for little', async () => {
    const { batches, add, done, end } = sharing({ deadlineMs: 60_000 });
    await add(...several('flood', 20, 250), of('small', 0));
    expect(namesIn(batches)).toEqual([
      ['flood0', 'small0'],
      ['flood1', 'flood2'],
    ]);
    await done('small0');
    vi.setSystemTime(Date.now() + 40);
    await done('flood1');
    expect(batches.length).toBe(2);
    await add(of('small', 1));
    expect(batches[2]!.names).toEqual(['small1']);
    vi.setSystemTime(Date.now() + 39);
    await sleep(60); // the queue is looked at meanwhile
    expect(batches.length).toBe(3);
    vi.setSystemTime(Date.now() + 1);
    await vi.waitFor(() => expect(batches[3]!.names).toEqual(['flood3', 'flood4']));
    await end();
  });

  it('turns do not rest where everybody asks for much', async () => {
    const { batches, add, done, end } = sharing({ deadlineMs: 60_000 });
    await add(...several('a', 20, 500), ...several('b', 20, 500));
    expect(namesIn(batches)).toEqual([['a0']]);
    vi.setSystemTime(Date.now() + 40);
    await done('a0');
    expect(batches[1]!.names).toEqual(['b0']);
    await end();
  });

  it('a small request has a lane beside turns at once, though nothing else waits', async () => {
    const { batches, add, done, end } = sharing({});
    await add(of('small', 0), ...several('flood', 2, 250));
    await done('small0');
    await add(of('small', 1));
    expect(namesIn(batches)).toEqual([['small0', 'flood0'], ['flood1'], ['small1']]);
    await end();
  });

  it('small requests still wait for each other rather than take a lane each', async () => {
    const { batches, add, done, end } = sharing({});
    await add(of('a', 0), of('b', 0));
    await add(of('c', 0));
    await add(of('a', 1));
    expect(namesIn(batches)).toEqual([['a0', 'b0']]);
    await done('a0');
    expect(batches[1]!.names).toEqual(['c0', 'a1']);
    await end();
  });

  it('one lane takes both, in small batches', async () => {
    const { batches, add, done, end } = sharing({ lanes: 1 });
    await add(...several('flood', 4, 250), of('small', 0, 100));
    expect(namesIn(batches)).toEqual([['flood0', 'small0']]);
    await add(of('small', 1, 100));
    await done('small0');
    expect(batches[1]!.names).toEqual(['small1', 'flood1']);
    await end();
  });

  it('one alone has all the lanes and whole batches, until it meets another and again five seconds later', async () => {
    const { batches, queue, add, done, end } = sharing({ deadlineMs: 60_000 });
    await add(...several('flood', 40, 250));
    expect(batches.map(({ names }) => names.length)).toEqual([8, 8]);
    await add(of('small', 0));
    await done('flood0');
    expect(batches[2]!.names).toEqual(['small0']);
    await done('small0');
    expect(queue.depth.running).toBe(1);
    await done('flood8');
    expect(batches[3]!.names).toEqual(['flood16', 'flood17']);
    await add(of('flood', 40, 250));
    vi.setSystemTime(Date.now() + 5_000);
    await done('flood16');
    expect(batches.slice(4).map(({ names }) => names.length)).toEqual([8, 8]);
    await end();
  });
});

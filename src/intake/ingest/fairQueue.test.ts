import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Entry, FairQueue, type Share } from './fairQueue.ts';

const UNBOUNDED = { rows: 1e9, bytes: 1e9 };
const BATCH = { rows: 5_000, bytes: 5_000_000 };
const SHARES: Share[] = ['ahead', 'turns', 'all'];
const FLOWS = ['a', 'b', 'c', 'd'];

const newQueue = () => new FairQueue<Entry>(UNBOUNDED, BATCH);
const newEntry = (flow: string, rows: number, bytes = rows) => new Entry({ rows, bytes, flow }, 0);
const rowsOf = (entries: Iterable<Entry>) => [...entries].reduce((sum, { item }) => sum + item.rows, 0);

const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      flow: fc.constantFrom(...FLOWS),
      rows: fc.integer({ min: 1, max: 600 }),
      /** One row of a full batch has 1,000. */
      bytes: fc.integer({ min: 1, max: 900_000 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ take: fc.constantFrom(...SHARES), limit: fc.integer({ min: 1, max: 1_500 }) }),
  },
  { weight: 1, arbitrary: fc.constant('drop' as const) },
);

it('keeps every entry once and in order, and knows how much goes ahead', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = newQueue();
      /** What waits, in the order of arrival. */
      const waiting = new Set<Entry>();
      const firstOf = (flow: string) => [...waiting].find(({ item }) => item.flow === flow);
      /** Everything there is of that share. */
      const takeOut = (share: Share, bounds = UNBOUNDED) => {
        const taken = queue.take(bounds, share);
        for (const entry of taken) {
          expect(entry).toBe(firstOf(entry.item.flow));
          waiting.delete(entry);
        }
        return taken;
      };
      for (const step of steps) {
        if (step === 'drop') {
          if (waiting.size === 0) continue;
          const oldest = queue.dropOldest();
          expect(oldest).toBe(waiting.values().next().value);
          waiting.delete(oldest);
        } else if ('take' in step) {
          const { rows, rowsAhead } = queue;
          const taken = takeOut(step.take, { rows: step.limit, bytes: 1e9 });
          if (taken.length > 1) expect(rowsOf(taken)).toBeLessThanOrEqual(step.limit);
          const there = { ahead: rowsAhead, turns: rows - rowsAhead, all: rows }[step.take];
          if (step.take !== 'ahead') expect(taken.length > 0).toBe(there > 0);
          else {
            if (taken.length === 0) expect(queue.rowsAhead).toBe(0);
            for (const flow of FLOWS) {
              const ofFlow = taken.filter(({ item }) => item.flow === flow);
              expect(rowsOf(ofFlow)).toBeLessThanOrEqual(250);
            }
          }
        } else {
          const entry = newEntry(step.flow, step.rows, step.bytes);
          queue.push(entry);
          waiting.add(entry);
        }
        expect(queue.length).toBe(waiting.size);
        expect(queue.rows).toBe(rowsOf(waiting));
        expect(queue.bytes).toBe([...waiting].reduce((sum, { item }) => sum + item.bytes, 0));
        expect(queue.oldest).toBe(waiting.values().next().value);
      }
      // The rows ahead are those that no turn gives: whole flows.
      const ahead = queue.rowsAhead;
      const turned = new Set(takeOut('turns').map(({ item }) => item.flow));
      expect(rowsOf(waiting)).toBe(ahead);
      for (const { item } of waiting) expect(turned).not.toContain(item.flow);
      expect(queue.rowsAhead).toBe(ahead);
      takeOut('all');
      expect(queue).toMatchObject({ rows: 0, bytes: 0, length: 0, rowsAhead: 0 });
    }),
  );
});

it('gives nobody more than those who always want something, however it starts and stops', () => {
  const most = 300;
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(0, 1, 50, 125, 200, 249, 250, 251, most), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 20, max: most }),
      fc.constantFrom(most, 500, 2_000),
      (pattern, floods, floodRows, limit) => {
        const queue = newQueue();
        const waiting = new Map<string, number>();
        const got = new Map<string, number>();
        const push = (flow: string, rows: number) => {
          queue.push(newEntry(flow, rows));
          waiting.set(flow, (waiting.get(flow) ?? 0) + rows);
        };
        for (let i = 0; i < 200; i++) {
          for (let flood = 0; flood < floods; flood++) {
            const flow = `flood ${flood}`;
            while ((waiting.get(flow) ?? 0) <= limit) push(flow, floodRows);
          }
          const rows = pattern[i % pattern.length]!;
          if (rows > 0 && !waiting.get('sometimes')) push('sometimes', rows);
          for (const { item } of queue.take({ rows: limit, bytes: 1e9 }, 'all')) {
            waiting.set(item.flow, waiting.get(item.flow)! - item.rows);
            got.set(item.flow, (got.get(item.flow) ?? 0) + item.rows);
          }
        }
        const { sometimes = 0, ...always } = Object.fromEntries(got);
        // A few turns and one item of each, however long it goes on.
        expect(sometimes - Math.min(...Object.values(always))).toBeLessThan(4 * most);
      },
    ),
  );
});

import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { RejectedEvents } from './rejectedEvents.ts';
import { Tallies } from './tallies.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const fault = (index: number, code: string) => ({ index, pointer: '/x', code, message: 'm' });

function rejections() {
  const registry = new Registry();
  const lines: unknown[] = [];
  const log = { warn: (...line: unknown[]) => lines.push(line) } as unknown as Logger;
  const tallies = new Tallies();
  return { registry, lines, tallies, rejected: new RejectedEvents(registry, log, tallies) };
}

it('counts each event once, by its first fault and the way it came', async () => {
  const { registry, rejected } = rejections();
  rejected.count('http', [fault(0, 'required'), fault(0, 'too_long'), fault(3, 'required')], {});
  rejected.count('queue', [fault(1, 'value_invalid')], {});
  rejected.count('http', [], {});
  const text = await registry.metrics();
  expect(text.split('\n').filter((line) => /^tidemark_.* [1-9]\d*$/.test(line))).toEqual([
    'tidemark_events_rejected_total{way="http",reason="required"} 2',
    'tidemark_events_rejected_total{way="queue",reason="value_invalid"} 1',
  ]);
});

it('counts them for their tenant, where it is known', () => {
  const { rejected, tallies } = rejections();
  const faults = [fault(0, 'required'), fault(0, 'too_long'), fault(3, 'required')];
  rejected.count('http', faults, { tenantId: 'a' });
  rejected.count('http', faults, { tenantId: null });
  rejected.count('queue', [fault(0, 'required')], {});
  expect([null, 'a', 'b'].map((tenantId) => tallies.of(tenantId).rejected)).toEqual([5, 2, 0]);
});

it('is logged at once, then every ten seconds at most, and nothing is left untold', () => {
  const { lines, rejected } = rejections();
  rejected.count('http', [fault(0, 'required')], { tenantId: 'a' });
  expect(lines).toEqual([[{ way: 'http', tenantId: 'a', reasons: { required: 1 } }, 'events were rejected']]);
  for (let n = 0; n < 1_000; n++)
    rejected.count('http', [fault(0, 'required'), fault(1, 'too_long')], { tenantId: 'b' });
  vi.advanceTimersByTime(9_999);
  expect(lines).toHaveLength(1);
  vi.advanceTimersByTime(1);
  expect(lines.slice(1)).toEqual([
    [{ way: 'http', tenantId: 'b', reasons: { required: 1_000, too_long: 1_000 } }, 'events were rejected'],
  ]);
  vi.advanceTimersByTime(60_000);
  expect(lines).toHaveLength(2);
  rejected.count('queue', [fault(0, 'required')], { source: 's' });
  expect(lines).toHaveLength(3);
});

import { describe, expect, it } from 'vitest';
import { anEvent, type Event } from './anEvent.ts';
import { differences, revisionFaults } from './compare.ts';
import { type Counted, type CountedWindow, countedEvents, countedUsage, countedWindows } from './counted.ts';
import { Ledger, type Posted } from './ledger.ts';
import { addEvent, type ByWindow, windowOf } from './sums.ts';

const CUSTOMER = 'someone';
const AT = Date.parse('2026-11-21T10:00:10Z');
const WINDOW = 30_000;

/** A request with these events, all of them new unless it is told otherwise. */
function posted(request: string, events: Event[], more: Partial<Posted> = {}): Posted {
  const windows: ByWindow = new Map();
  for (const event of events) addEvent(windows, event);
  return {
    line: 'posted',
    at: AT,
    request,
    group: request,
    customer: CUSTOMER,
    events: events.length,
    fresh: [...windows],
    late: false,
    ...more,
  };
}

const answered = (request: string, accepted: number, duplicates = 0, status = 200) =>
  ({ line: 'answered', at: AT, request, status, accepted, duplicates }) as const;

/** Twenty events in two windows, acknowledged. */
function aRun() {
  const ledger = new Ledger();
  const events = Array.from({ length: 20 }, (_, i) => anEvent(CUSTOMER, AT + (i % 2) * WINDOW));
  ledger.add(posted('first', events));
  ledger.add(answered('first', 20));
  return { ledger, events, windows: ledger.customers.get(CUSTOMER)! };
}

const found = (windows: ReturnType<typeof aRun>['windows'], counted: Counted) =>
  differences(CUSTOMER, windows, counted).map(({ field }) => field);

describe('comparing what is counted with what was acknowledged', () => {
  it('finds nothing where both are equal', () => {
    const { windows, events } = aRun();
    expect(found(windows, countedEvents(events))).toEqual([]);
  });

  it('finds an event that is missing', () => {
    const { windows, events } = aRun();
    expect(found(windows, countedEvents(events.slice(1)))).toEqual(expect.arrayContaining(['calls', 'ids']));
  });

  it('finds an event that is counted twice', () => {
    const { windows, events } = aRun();
    const fields = found(windows, countedEvents([...events, events[0]!]));
    expect(fields).toEqual(expect.arrayContaining(['calls', 'ids']));
  });

  it('finds an event in place of another, though the number is right', () => {
    const { windows, events } = aRun();
    const other = { ...events[0]!, eventId: crypto.randomUUID() };
    expect(found(windows, countedEvents([other, ...events.slice(1)]))).toEqual(['ids']);
  });

  it('finds an event in another window, though the total is right', () => {
    const { windows, events } = aRun();
    const moved = { ...events[0]!, timestamp: new Date(AT + WINDOW).toISOString() };
    const found = differences(CUSTOMER, windows, countedEvents([moved, ...events.slice(1)]));
    expect(found.filter(({ field }) => field === 'calls')).toMatchObject([
      { bucket: '2026-11-21T10:00:00.000Z', least: 10, most: 10, counted: 9 },
      { bucket: '2026-11-21T10:00:30.000Z', least: 10, most: 10, counted: 11 },
    ]);
  });

  it('finds a bucket that nothing was sent for', () => {
    const { windows, events } = aRun();
    const stranger = anEvent(CUSTOMER, AT + 10 * WINDOW);
    expect(found(windows, countedEvents([...events, stranger]))).toContain('calls');
  });

  it('finds a token too many in a window, an hour and a day', () => {
    const { windows } = aRun();
    const sums = [...windows].map(([start, { acknowledged }]) => ({ start, ...acknowledged }));
    const items = (more: number) =>
      sums.map(({ start, calls, inputTokens, outputTokens }, i) => ({
        windowStart: new Date(start).toISOString(),
        state: 'closed' as const,
        revision: 0,
        aggregations: {
          totalCalls: calls,
          totalInputTokens: inputTokens + (i === 0 ? more : 0),
          totalOutputTokens: outputTokens,
        },
      }));
    expect(found(windows, countedWindows(items(0)))).toEqual([]);
    expect(found(windows, countedWindows(items(1)))).toEqual(['inputTokens']);
    for (const [granularity, bucket] of [
      ['1h', '2026-11-21T10:00:00Z'],
      ['1d', '2026-11-21T00:00:00Z'],
    ] as const) {
      const total = { bucket, calls: 0, inputTokens: 0, outputTokens: 0 };
      for (const { calls, inputTokens, outputTokens } of sums) {
        total.calls += calls;
        total.inputTokens += inputTokens;
        total.outputTokens += outputTokens;
      }
      expect(found(windows, countedUsage([total], granularity))).toEqual([]);
      const tooMany = { ...total, inputTokens: total.inputTokens + 1 };
      expect(found(windows, countedUsage([tooMany], granularity))).toEqual(['inputTokens']);
    }
  });

  it('finds a bucket that is given twice', () => {
    const { windows } = aRun();
    const [start, { acknowledged }] = [...windows][0]!;
    const item = {
      bucket: new Date(start).toISOString(),
      calls: acknowledged.calls,
      inputTokens: 0,
      outputTokens: 0,
    };
    const calls = differences(CUSTOMER, windows, countedUsage([item, item], '30s')).filter(
      ({ field, bucket }) => field === 'calls' && Date.parse(bucket) === start,
    );
    expect(calls).toMatchObject([{ least: 10, counted: 20 }]);
  });

  it('knows only bounds while a request has no answer', () => {
    const { ledger, windows, events } = aRun();
    const more = Array.from({ length: 5 }, () => anEvent(CUSTOMER, AT));
    ledger.add(posted('second', more));
    expect(found(windows, countedEvents(events))).toEqual([]);
    expect(found(windows, countedEvents([...events, ...more]))).toEqual([]);
    expect(found(windows, countedEvents([...events, ...more, anEvent(CUSTOMER, AT)]))).toContain('calls');
    ledger.add(answered('second', 0, 0, 503));
    expect(found(windows, countedEvents(events))).toEqual([]);
    expect(ledger.refused).toBe(1);
  });
});

describe('the ledger', () => {
  it('lets the events of a request and its retries be accepted once', () => {
    const { ledger, events, windows } = aRun();
    ledger.add(posted('retry', events, { group: 'first', fresh: [] }));
    ledger.add(answered('retry', 0, 20));
    expect(ledger.contradictions).toEqual([]);
    expect(found(windows, countedEvents(events))).toEqual([]);
    ledger.add(posted('again', events, { group: 'first', fresh: [] }));
    ledger.add(answered('again', 1, 19));
    expect(ledger.contradictions).toEqual(['of 0 new events 1 were accepted']);
  });

  it('does not mind which of two requests at a time comes first', () => {
    for (const [one, other, wrong] of [
      [10, 0, 0],
      [0, 10, 0],
      [4, 6, 0],
      [10, 10, 1],
      [0, 0, 1],
    ] as const) {
      const ledger = new Ledger();
      const events = Array.from({ length: 10 }, () => anEvent(CUSTOMER, AT));
      ledger.add(posted('one', events));
      ledger.add(posted('other', events, { group: 'one', fresh: [] }));
      ledger.add(answered('other', other, 10 - other));
      ledger.add(answered('one', one, 10 - one));
      expect(ledger.contradictions, `${one} and ${other}`).toHaveLength(wrong);
      expect(ledger.total('acknowledged').calls).toBe(10);
    }
  });

  it('finds an answer that leaves out events', () => {
    const ledger = new Ledger();
    ledger.add(posted('one', [anEvent(CUSTOMER, AT), anEvent(CUSTOMER, AT)]));
    ledger.add(answered('one', 1));
    expect(ledger.contradictions).toContain('2 events were answered with 1 + 0');
  });
});

describe('revisions', () => {
  const states = (state: CountedWindow['state'], revision: number) =>
    new Map([[windowOf(AT), { state, revision }]]);

  it('are due where events were late, and at most once per request', () => {
    const ledger = new Ledger();
    for (const request of ['one', 'two']) {
      ledger.add(posted(request, [anEvent(CUSTOMER, AT)], { late: true }));
      ledger.add(answered(request, 1));
    }
    const windows = ledger.customers.get(CUSTOMER)!;
    const faults = (state: CountedWindow['state'], revision: number) =>
      revisionFaults(CUSTOMER, windows, states(state, revision)).length;
    expect(faults('revised', 1)).toBe(0); // both in one batch
    expect(faults('revised', 2)).toBe(0);
    expect(faults('revised', 3)).toBe(1);
    expect(faults('closed', 0)).toBe(1);
    expect(faults('closed', 1)).toBe(1);
  });

  it('are not due where all came in time', () => {
    const { windows } = aRun();
    expect(revisionFaults(CUSTOMER, windows, states('closed', 0))).toEqual([]);
    expect(revisionFaults(CUSTOMER, windows, states('open', 0))).toEqual([]);
    expect(revisionFaults(CUSTOMER, windows, states('revised', 0))).toHaveLength(1);
  });
});

import { describe, expect, it } from 'vitest';
import { parseEvents } from './parseEvents.ts';

const RULES = { tenantId: 't', earliestMicros: Number.NaN, latestMicros: Number.NaN, receivedMicros: 0 };
const parse = (json: string) =>
  parseEvents(Buffer.from(json), { dialect: 'native', framing: 'json' }, RULES, 10);
const EVENT = '"eventId":"e","timestamp":"2026-01-01T00:00:00Z","customerId":"c","apiEndpoint":"/a"';

describe('a name given twice', () => {
  it('counts as given last, as JSON.parse has it', () => {
    const { events } = parse(`{"customerId":"first",${EVENT},"metadata":{"tokens":1,"tokens":2}}`);
    expect(events).toMatchObject([{ customerId: 'c', tokens: 2 }]);
  });

  it('is refused for what it is last, and not saved by what it was before', () => {
    expect(parse(`{${EVENT},"customerId":5}`).faults).toMatchObject([{ pointer: '/customerId' }]);
  });
});

describe('__proto__', () => {
  const poison = '"__proto__":{"isAdmin":true,"tenantId":"other","customerId":"other"}';

  it('is an unknown field of an event', () => {
    const { events, faults } = parse(`{${EVENT},${poison}}`);
    expect(events).toEqual([]);
    expect(faults).toMatchObject([{ pointer: '/__proto__', code: 'unknown_field' }]);
  });

  it('does not stand in for fields that are missing', () => {
    expect(parse(`{${poison}}`).faults.map(({ pointer }) => pointer)).toContain('/customerId');
    const { events } = parse(`{${EVENT},"metadata":{"__proto__":{"tokens":7,"model":"x"}}}`);
    expect(events).toMatchObject([{ tokens: null, model: null }]);
  });

  it('is data like any other in metadata, at any depth, and changes no other object', () => {
    const metadata = `{${poison},"a":[{${poison},"constructor":{"prototype":{"isAdmin":true}}}]}`;
    const { events } = parse(`{${EVENT},"metadata":${metadata}}`);
    expect(events[0]!.metadata).toBe(metadata);
    expect(({} as Record<string, unknown>).isAdmin).toBe(undefined);
  });
});

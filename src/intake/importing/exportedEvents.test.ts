import { describe, expect, test } from 'vitest';
import { BARE } from '../../../test/support/exportedEvent.ts';
import { identify, identifyAs } from '../../model/eventId.ts';
import {
  EVENT_HEADER,
  type ExportedEvent,
  eventCsvLine,
  eventJsonLine,
} from '../../outbound/exporting/eventLines.ts';
import { toUsageEvent } from '../events/toUsageEvent.ts';

const FULL: ExportedEvent = {
  ...BARE,
  ts_micros: '1763719200123456',
  event_type: 'api.request',
  endpoint: '/a "b"\n',
  model: 'gpt-4',
  source_id: 's',
  reference: 'r',
  unit: 'EUR',
  value: '12345678901234567890.123456789012345678',
  tokens: '1500',
  input_tokens: '500',
  output_tokens: '1000',
  latency_ms: 0.1,
  metadata: '{"big": 12345678901234567890.5, "__proto__": 1}',
};

describe('NDJSON', () => {
  test('leaves out what is absent', () => {
    expect(eventJsonLine('t', BARE)).toBe(
      '{"eventId":"019aa3f2-7c1e-7b3a-9d55-3f1c2b4a5e60","timestamp":"2025-11-21T10:00:00.000Z","tenantId":"t",' +
        '"customerId":"acme","eventType":"click"}\n',
    );
  });

  test('holds every digit, and metadata as it was stored', () => {
    const line = eventJsonLine('t', FULL);
    expect(line).toContain('"timestamp":"2025-11-21T10:00:00.123456Z"');
    expect(line).toContain('"value":"12345678901234567890.123456789012345678"');
    expect(line).toContain(
      '"metadata":{"tokens":1500,"model":"gpt-4","latencyMs":0.1,"inputTokens":500,"outputTokens":1000,' +
        '"big": 12345678901234567890.5, "__proto__": 1}}',
    );
    expect(JSON.parse(line).apiEndpoint).toBe('/a "b"\n');
  });

  test('is a native event, and the same one', () => {
    const rules = {
      tenantId: 't',
      earliestMicros: 0,
      latestMicros: Number.NaN,
      receivedMicros: 0,
      checkText: true,
    };
    const verdict = toUsageEvent(JSON.parse(eventJsonLine('t', FULL)), rules, 0);
    expect(verdict).toMatchObject({
      event: {
        eventId: FULL.event_id,
        tsMicros: 1763719200123456,
        value: FULL.value,
        tokens: 1500,
        latencyMs: 0.1,
      },
    });
  });

  test('names an event by what makes its identity again', () => {
    const native = identify('order 7');
    const asNative = { ...BARE, event_id: native.eventId, external_id: 'order 7' };
    expect(JSON.parse(eventJsonLine('t', asNative)).eventId).toBe('order 7');

    const cloud = identifyAs('cloudevents', ['/source', 'order 7'], 'order 7');
    const asCloud = { ...BARE, event_id: cloud.eventId, external_id: 'order 7' };
    expect(JSON.parse(eventJsonLine('t', asCloud)).eventId).toBe(cloud.eventId);
  });
});

describe('CSV', () => {
  test('has as many cells as its header, each safe in a spreadsheet', () => {
    const line = eventCsvLine('t', {
      ...FULL,
      endpoint: null,
      customer_id: '=1+1',
      value: '-1.500',
      metadata: null,
    });
    expect(line.split(',')).toHaveLength(EVENT_HEADER.split(',').length);
    expect(line).toContain(",'=1+1,");
    expect(line).toContain(',-1.5,');
    expect(eventCsvLine('t', { ...BARE, endpoint: '/a "b", c\n' })).toContain(',"/a ""b"", c\n",');
  });
});

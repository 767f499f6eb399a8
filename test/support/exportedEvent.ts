import type { ExportedEvent } from '../../src/outbound/exporting/eventLines.ts';

/** An event of an export that has nothing but what each has. */
export const BARE: ExportedEvent = {
  ts_micros: '1763719200000000',
  received_micros: '1763719201000500',
  event_id: '019aa3f2-7c1e-7b3a-9d55-3f1c2b4a5e60',
  external_id: null,
  customer_id: 'acme',
  event_type: 'click',
  endpoint: null,
  model: null,
  source_id: null,
  reference: null,
  unit: null,
  value: null,
  tokens: null,
  input_tokens: null,
  output_tokens: null,
  latency_ms: null,
  metadata: null,
};

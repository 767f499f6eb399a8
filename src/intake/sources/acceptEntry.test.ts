import { expect, it } from 'vitest';
import { anEvent } from '../../../test/support/traffic.ts';
import { type AcceptedEntry, acceptEntry } from './acceptEntry.ts';
import type { Rejection } from './source.ts';

const RULES = {
  tenantId: 'tenant',
  acceptAheadMs: 60_000,
  acceptBehindMs: 86_400_000,
  maxEvents: 10,
  maxBytes: 100_000,
};
const TENANTS = { stateOf: async () => 'active' as const, forget: () => undefined };
const BOM = '\ufeff';

const accept = async (
  body: string | Buffer,
  type: string | null = null,
  attributes: Record<string, string> | null = null,
) =>
  (await acceptEntry(
    {
      id: '1-0',
      origin: 'queue 1-0',
      body: Buffer.from(body as string),
      type,
      tenantId: null,
      idempotencyKey: null,
      attributes,
      addedMs: null,
      redelivered: false,
    } as unknown as Parameters<typeof acceptEntry>[0],
    RULES,
    TENANTS,
    'queue',
  )) as { events?: AcceptedEntry['events']; rejection?: Rejection };
const lines = (n: number) => Array.from({ length: n }, () => JSON.stringify(anEvent()));
const CE = { specversion: '1.0', id: '1', source: '/s', type: 'x', subject: 'acme' };

it.each([
  ['of native events', () => BOM + lines(1)[0], null],
  ['of JSON', () => `${BOM}[${lines(1)[0]}]`, 'application/json'],
  [
    'of lines',
    () =>
      lines(1)
        .map((line) => BOM + line)
        .join('\n'),
    'application/x-ndjson',
  ],
  ['of an increment', () => `${BOM}{"key":"k","value":1}`, 'increment'],
  ['of a CloudEvent', () => BOM + JSON.stringify(CE), 'cloudevents'],
])('a byte order mark at the beginning %s is passed over', async (_, body, type) => {
  expect((await accept(body(), type)).rejection).toBeUndefined();
});

it('so it is in the data of a CloudEvent in binary mode', async () => {
  const { events } = await accept(`${BOM}{"tokens":3}`, 'application/json', CE);
  expect(events?.[0]).toMatchObject({ customerId: 'acme', tokens: 3 });
});

it('one event a line is understood where the type does not say otherwise', async () => {
  for (const type of [null, 'native', 'application/jsonlines', 'text/x-ndjson'])
    expect((await accept(lines(3).join('\n'), type)).events).toHaveLength(3);
  expect((await accept(lines(3).join('\n'), 'application/json')).rejection?.code).toBe('invalid_json');
});

it('UTF-16 is told', async () => {
  const { rejection } = await accept(Buffer.from(BOM + lines(1)[0], 'utf16le'));
  expect(rejection).toMatchObject({
    code: 'invalid_encoding',
    message: 'the body is UTF-16 or UTF-32; send UTF-8',
  });
});

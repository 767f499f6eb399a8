import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addDecimals, parseDecimal } from '../../../model/decimal.ts';
import { identify, identifyAs } from '../../../model/eventId.ts';
import type { EventRules } from '../finishEvent.ts';
import { parseEvents } from '../parseEvents.ts';
import { binaryCloudEvent } from './binaryCloudEvent.ts';
import { cloudEventToEvent, isJsonType } from './cloudEvent.ts';
import { incrementToEvent } from './increment.ts';
import { recordToEvent } from './record.ts';

const RULES: EventRules = {
  tenantId: 't',
  earliestMicros: Number.NaN,
  latestMicros: Number.NaN,
  receivedMicros: 1_234_567,
  checkText: true,
};
const EMPTY = {
  ...{ tenantId: 't', externalId: null, sourceId: null, endpoint: null, model: null, reference: null },
  ...{ unit: null, value: null, tokens: null, inputTokens: null, outputTokens: null, latencyMs: null },
  ...{ metadata: null, document: null },
};

describe('a record', () => {
  const RECORD = {
    recordId: 'r',
    time: '1970-01-01T00:00:01Z',
    destinationId: 'd',
    type: 'positive',
    value: '1',
  };

  it('becomes an event of its type about its destination', () => {
    const full = { ...RECORD, type: 'negative', value: '007.50', sourceId: 's', unit: 'EUR', reference: 'i' };
    expect(recordToEvent(full, RULES, 0).event).toEqual({
      ...EMPTY,
      ...identify('r'),
      customerId: 'd',
      tsMicros: 1_000_000,
      eventType: 'negative',
      sourceId: 's',
      unit: 'EUR',
      reference: 'i',
      value: '7.5',
    });
  });

  it('has every fault told, with its place', () => {
    const { faults } = recordToEvent({ ...RECORD, time: 'x', value: '-1' }, RULES, 7);
    expect(faults).toMatchObject([
      { index: 7, pointer: '/time', code: 'timestamp_invalid' },
      { index: 7, pointer: '/value', code: 'value_not_positive' },
    ]);
    const missing = recordToEvent({}, RULES, 0).faults;
    expect(missing?.map(({ pointer, code }) => `${pointer} ${code}`)).toEqual(
      ['recordId', 'time', 'destinationId', 'type', 'value'].map((name) => `/${name} required`),
    );
  });
});

describe('an increment', () => {
  it('becomes an event at the time of receipt, with an id of its own', () => {
    const [one, two] = [0, 1].map((index) => incrementToEvent({ key: 'k', value: 2 }, RULES, index).event!);
    expect(one).toEqual({
      ...EMPTY,
      eventId: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
      customerId: 'k',
      tsMicros: 1_234_567,
      eventType: 'counter.increment',
      value: '2',
    });
    expect(two!.eventId).not.toBe(one!.eventId);
  });

  it('has the id that it is given, which is no client’s', () => {
    const rules = { ...RULES, fallbackId: (index: number) => `entry ${index}` };
    const { event } = incrementToEvent({ key: 'k', value: 2 }, rules, 3);
    expect(event).toMatchObject({ externalId: 'entry 3' });
    expect(event!.eventId).not.toBe(identify('entry 3').eventId);
    expect(event!.eventId).toBe(incrementToEvent({ key: 'other', value: 1 }, rules, 3).event!.eventId);
  });
});

describe('a CloudEvent', () => {
  const EVENT = { specversion: '1.0', id: '1', source: '/s', type: 'x', subject: 'c' };

  it('has what is known promoted, and the rest kept', () => {
    const data = {
      ...{ apiEndpoint: '/a', sessionId: 'r', unit: 'u', value: 1.5, model: 'm', tokens: null },
      ...{ inputTokens: 1, outputTokens: 2, latencyMs: 0.5, customerId: 'kept', nested: { a: [1] } },
    };
    const { event } = cloudEventToEvent(
      { ...EVENT, time: '1970-01-01T00:00:01Z', note: 'n', data },
      RULES,
      0,
    );
    expect(event).toEqual({
      ...EMPTY,
      ...identifyAs('cloudevents', ['/s', '1'], '/s 1'),
      customerId: 'c',
      tsMicros: 1_000_000,
      eventType: 'x',
      sourceId: '/s',
      endpoint: '/a',
      reference: 'r',
      unit: 'u',
      value: '1.5',
      model: 'm',
      tokens: 3,
      inputTokens: 1,
      outputTokens: 2,
      latencyMs: 0.5,
      metadata: '{"customerId":"kept","nested":{"a":[1]},"note":"n"}',
      document: { customerId: 'kept', nested: { a: [1] }, note: 'n' }, // the metadata that are kept
    });
  });

  it('has an identity of source and id that no other pair has, and no native event', () => {
    const text = fc.string({
      minLength: 1,
      maxLength: 8,
      unit: fc.constantFrom('a', '"', ',', '\\', '[', ' ', '0'),
    });
    const idOf = ([source, id]: [string, string]) => identifyAs('cloudevents', [source, id], '').eventId;
    fc.assert(
      fc.property(fc.tuple(text, text), fc.tuple(text, text), (one, two) => {
        expect(idOf(one) === idOf(two)).toBe(one[0] === two[0] && one[1] === two[1]);
        for (const native of [one.join(' '), one.join(''), JSON.stringify(one)])
          expect(identify(native).eventId).not.toBe(idOf(one));
      }),
    );
  });

  it('never throws, whatever it is, and never gives an event without what one must have', () => {
    const names = fc.constantFrom(
      'specversion',
      'id',
      'source',
      'type',
      'subject',
      'time',
      'data',
      'data_base64',
      'datacontenttype',
      '__proto__',
      'ext',
      'tokens',
    );
    fc.assert(
      fc.property(fc.dictionary(names, fc.jsonValue()), fc.boolean(), (fields, whole) => {
        const { event, faults } = cloudEventToEvent(whole ? { ...EVENT, ...fields } : fields, RULES, 0);
        if (event) expect([event.customerId, event.eventType].every((text) => text.length > 0)).toBe(true);
        else expect(faults!.length).toBeGreaterThan(0);
      }),
    );
  });

  it('is the same in binary mode as structured', () => {
    const data = { tokens: 5, a: 'ü' };
    const structured = parseEvents(
      Buffer.from(JSON.stringify({ ...EVENT, data })),
      { dialect: 'cloudevents', framing: 'json' },
      RULES,
      10,
    );
    const attributes = { ...EVENT, datacontenttype: 'application/json' };
    const binary = parseEvents(
      Buffer.from(JSON.stringify(data)),
      { dialect: 'cloudevents', framing: 'json', attributes },
      RULES,
      10,
    );
    expect(binary).toEqual(structured);
    expect(binary.events).toHaveLength(1);
  });

  it('knows JSON by its content type', () => {
    const yes = [
      'application/json',
      'TEXT/JSON',
      'application/json; charset=utf-8',
      'application/vnd.a.b+json',
    ];
    const no = [
      'text/plain',
      'application/jsonl',
      'application/json5',
      'json',
      'application/xml; a=/json',
      '',
    ];
    expect(yes.filter((type) => !isJsonType(type))).toEqual([]);
    expect(no.filter(isJsonType)).toEqual([]);
  });

  it('in binary mode has no attribute called data', () => {
    expect(() => binaryCloudEvent({ ...EVENT, data: 'x' }, Buffer.alloc(0))).toThrow('body');
  });
});

describe('addDecimals', () => {
  it('is exact', () => {
    const decimal = fc
      .tuple(
        fc.bigInt({ min: -(10n ** 20n) + 1n, max: 10n ** 20n - 1n }),
        fc.bigInt({ min: 0n, max: 10n ** 18n - 1n }),
      )
      .map(([whole, part]) => parseDecimal(`${whole}.${part.toString().padStart(18, '0')}`)!);
    const units = (text: string) => {
      const [whole, part = ''] = text.replace('-', '').split('.');
      return BigInt(whole! + part.padEnd(18, '0')) * (text.startsWith('-') ? -1n : 1n);
    };
    fc.assert(
      fc.property(decimal, decimal, (a, b) => {
        const sum = addDecimals(a, b);
        expect(units(sum)).toBe(units(a) + units(b));
        expect(sum).toMatch(/^-?(0|[1-9]\d*)(\.\d*[1-9])?$/);
      }),
    );
    expect(addDecimals('-0.5', '0.5')).toBe('0');
    expect(addDecimals('99999999999999999999', '1')).toBe('100000000000000000000');
  });
});

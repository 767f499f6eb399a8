import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Dialect, parseEvents } from '../parseEvents.ts';
import { normaliseUsage } from './normaliseUsage.ts';
import { SHAPES, SHAPES_OF_PROVIDER } from './providers.ts';

const RULES = { tenantId: 't', earliestMicros: Number.NaN, latestMicros: Number.NaN, receivedMicros: 0 };
const EVENT = { eventId: 'e', timestamp: '2026-01-01T00:00:00Z', customerId: 'c', apiEndpoint: '/a' };
/** @param metadata as it comes: what is a text is JSON. */
const parse = (metadata: object | string) => {
  const json = JSON.stringify({ ...EVENT, metadata: 0 });
  const text = typeof metadata === 'string' ? metadata : JSON.stringify(metadata);
  const body = Buffer.from(json.replace('"metadata":0', () => `"metadata":${text}`));
  return parseEvents(body, { dialect: 'native', framing: 'json' }, RULES, 10);
};
const stored = (metadata: object | string) => {
  const { events, faults } = parse(metadata);
  expect(faults).toEqual([]);
  const { model, tokens, inputTokens, outputTokens, document, aiUsage } = events[0]!;
  expect(JSON.parse(events[0]!.metadata ?? 'null')).toEqual(document === null ? null : { ...document });
  return { model, tokens, inputTokens, outputTokens, metadata: { ...document } as never, aiUsage };
};
const statusOf = (metadata: object) => stored(metadata).aiUsage?.status;
const faultsOf = (metadata: object | string) =>
  parse(metadata).faults.map(({ pointer, code }) => [pointer, code]);

const CHAT = { prompt_tokens: 1_000, completion_tokens: 300, total_tokens: 1_300 };
const CACHED = { ...CHAT, prompt_tokens_details: { cached_tokens: 800 } };

describe('an event with a usage object', () => {
  it('has its counts as columns, its parts as members, and the object as it was sent', () => {
    expect(stored({ usage: CACHED, model: 'gpt-5', trace: 'x' })).toEqual({
      model: 'gpt-5',
      tokens: 1_300,
      inputTokens: 1_000,
      outputTokens: 300,
      metadata: { usage: CACHED, trace: 'x', cachedInputTokens: 800, usageStatus: 'counted' },
      aiUsage: { status: 'counted', shape: 'openai_chat' },
    });
  });

  it('counts what metadata says itself, and what the object says of the rest', () => {
    expect(stored({ usage: CACHED, inputTokens: 500, model: 'mine' })).toMatchObject({
      model: 'mine',
      tokens: 800,
      inputTokens: 500,
      outputTokens: 300,
      // 800 of 500 cannot be: the parts belong to the other number.
      metadata: { usage: CACHED, usageStatus: 'counted' },
    });
    expect(stored({ usage: CACHED, tokens: 7 })).toMatchObject({ tokens: 7, inputTokens: 1_000 });
    expect(stored({ usage: CACHED, inputTokens: null })).toMatchObject({ inputTokens: 1_000 });
    expect(stored({ usage: CACHED, cachedInputTokens: 5 }).metadata).toMatchObject({ cachedInputTokens: 5 });
  });

  it('takes the model from a response', () => {
    expect(stored({ response: { id: 'r', model: 'gpt-5', usage: CHAT } })).toMatchObject({ model: 'gpt-5' });
    expect(stored({ response: { model: 'gpt-5', usage: CHAT }, model: 'mine' })).toMatchObject({
      model: 'mine',
    });
    expect(stored({ response: { model: 'x'.repeat(257), usage: CHAT } })).toMatchObject({ model: null });
    expect(stored({ response: { model: 5, usage: CHAT } })).toMatchObject({ model: null });
    expect(stored({ response: { model: 'gpt-5', text: 'hello' } })).toMatchObject({ model: null });
  });

  it('is as large as it was sent', () => {
    const padded = (length: number) => {
      const bare = JSON.stringify({ usage: CACHED, pad: '' }).length;
      return { usage: CACHED, pad: 'x'.repeat(length - bare) };
    };
    expect(stored(padded(65_536))).toMatchObject({ inputTokens: 1_000 });
    expect(faultsOf(padded(66_600))).toEqual([['/metadata', 'metadata_too_large']]);
  });
});

describe('a member called usage that is about something else is what it always was', () => {
  it.each([
    [{ usage: 5 }],
    [{ usage: 'high' }],
    [{ usage: true }],
    [{ usage: [CHAT] }],
    [{ usage: {} }],
    [{ usage: { cpu: 3 } }],
    [{ usage: { speed: 5, service_tier: 'x', iterations: 3, seconds: 4, queue_time: 1 } }],
    [{ usage: { cpu: 3 }, provider: 'openai' }],
    [{ totalUsage: 5, usageMetadata: 'x', response: 'ok', x_groq: 1 }],
    [{ totalUsage: null, response: { status: 200 }, x_groq: null }],
    [{ response: null, provider: 'openai' }],
    [{ provider: 'openai', cachedInputTokens: -5, usageStatus: 'mine' }],
    [{ usage: null, inputTokens: 5 }],
    [{ message: 'hello', delta: 5 }],
    [{ message: { usage: CHAT }, delta: { usage: CHAT } }],
    [{ type: 'message_start', message: 'hello', delta: null }],
    [{ type: 'message-end', delta: 'b' }],
    [{ type: 'message', stop_reason: null }],
    [{ usage: '{"prompt_tokens":5}' }],
  ])('%j', (metadata) => {
    const { aiUsage, metadata: kept, tokens } = stored(metadata);
    expect(aiUsage).toBe(undefined);
    const { inputTokens, ...rest } = metadata as Record<string, unknown>;
    expect(kept).toEqual(rest);
    expect(tokens).toBe(inputTokens ?? null);
  });
});

describe('a call without counts is unknown, and not 0', () => {
  it.each([
    [{ usage: null }],
    [{ usage: null, provider: 'openai' }],
    [{ response: { id: 'r', model: 'gpt-5', usage: null } }],
    [{ usageMetadata: null }],
    [{ usage: { inputTokenDetails: {}, outputTokenDetails: {} } }],
    [{ usage: { prompt_tokens: null, completion_tokens: null, total_tokens: null } }],
    [{ usage: { type: 'duration', seconds: 2.5 } }],
  ])('%j', (metadata) => {
    expect(stored(metadata)).toMatchObject({
      tokens: null,
      inputTokens: null,
      outputTokens: null,
      metadata: { ...metadata, usageStatus: 'unknown' },
      aiUsage: { status: 'unknown' },
    });
  });

  it('but what is known counts', () => {
    const usage = { prompt_tokens: 8, completion_tokens: null };
    expect(stored({ usage })).toMatchObject({ inputTokens: 8, outputTokens: null, tokens: 8 });
    expect(statusOf({ usage })).toBe('unknown');
    expect(stored({ usage, outputTokens: 3 })).toMatchObject({ tokens: 11, aiUsage: { status: 'counted' } });
  });
});

describe('what may mean one thing or another is not guessed', () => {
  const anthropic = { input_tokens: 200, output_tokens: 300, cache_read_input_tokens: 800 };
  it.each([
    ['marks of two shapes', { ...anthropic, input_tokens_details: { cached_tokens: 100 } }],
    ['marks of two shapes, and a total', { ...anthropic, total_tokens: 500 }],
    ['wholes that differ', { prompt_tokens: 1, completion_tokens: 2, input_tokens: 5, output_tokens: 2 }],
    [
      'wholes that differ, one with a mark',
      { prompt_tokens: 1, completion_tokens: 2, input_tokens: 5, output_tokens: 2, input_tokens_details: {} },
    ],
    ['a cache that a shape does not know', { ...anthropic, cache_of_tomorrow_input_tokens: 5 }],
    [
      'the AI SDK before version 6',
      { inputTokens: 100, outputTokens: 5, totalTokens: 105, cachedInputTokens: 50 },
    ],
    ['a count of tokens alone', { tokens: 5 }],
    ['a total alone', { total_tokens: 5 }],
    ['a total that is more than both', { ...CHAT, total_tokens: 1_500 }],
    ['a total that is less', { ...CHAT, total_tokens: 1_299 }],
    ['a total of more than the input alone', { prompt_tokens: 8, total_tokens: 10 }],
    [
      'reasoning beside the output',
      { ...CHAT, completion_tokens_details: { reasoning_tokens: 200 }, total_tokens: 1_500 },
    ],
    [
      'more reasoning than output, beside it',
      { ...CHAT, completion_tokens_details: { reasoning_tokens: 400 }, total_tokens: 1_700 },
    ],
    [
      'two outputs',
      { promptTokenCount: 9, candidatesTokenCount: 3, responseTokenCount: 4, totalTokenCount: 13 },
    ],
    ['a total of other responses', { input_tokens: 5, output_tokens: 7, total_tokens: 13 }],
    ['names of nobody we know', { tokensIn: 5, tokensOut: 7 }],
  ])('%s', (_, usage) => {
    expect(stored({ usage })).toMatchObject({
      tokens: null,
      inputTokens: null,
      outputTokens: null,
      metadata: { usage, usageStatus: 'unrecognised' },
      aiUsage: { status: 'unrecognised', shape: 'none' },
    });
  });

  it('two objects of an event have to say the same', () => {
    expect(statusOf({ usage: CHAT, response: { usage: CHAT } })).toBe('counted');
    expect(statusOf({ usage: CHAT, response: { usage: CACHED } })).toBe('unrecognised');
    expect(statusOf({ usage: null, response: { usage: CHAT } })).toBe('counted');
    expect(statusOf({ usage: { cpu: 1 }, response: { usage: CHAT } })).toBe('counted');
  });

  it('unless the total tells, or both mean the same', () => {
    expect(stored({ usage: { ...anthropic, total_tokens: 1_300 } })).toMatchObject({ inputTokens: 1_000 });
    expect(stored({ usage: { ...CHAT, cache_read_input_tokens: 800 } })).toMatchObject({
      inputTokens: 1_000,
    });
    expect(statusOf({ usage: { prompt_tokens: 1_000, cache_read_input_tokens: 800 } })).toBe('unrecognised');
    expect(stored({ usage: { input_tokens: 5, output_tokens: 7 } })).toMatchObject({ tokens: 12 });
    expect(stored({ usage: { inputTokens: 5, outputTokens: 7, totalTokens: 12 } })).toMatchObject({
      tokens: 12,
    });
    const empty = { input_tokens: 0, output_tokens: 0, input_tokens_details: null };
    for (const provider of ['openai', null]) {
      expect(stored({ usage: { ...CHAT, ...empty }, provider })).toMatchObject({
        inputTokens: 1_000,
        tokens: 1_300,
      });
    }
    const twice = { prompt_tokens: 5, completion_tokens: 7, input_tokens: 5, output_tokens: 7 };
    expect(stored({ usage: twice })).toMatchObject({ tokens: 12 });
  });

  it('and counts that metadata has itself need no object', () => {
    const usage = { tokensIn: 5 };
    expect(stored({ usage, inputTokens: 5, outputTokens: 1 })).toMatchObject({
      tokens: 6,
      metadata: { usage, usageStatus: 'counted' },
    });
  });
});

describe('refuses', () => {
  const usage = (part: object) => ({ usage: { ...CHAT, ...part } });
  it.each([
    ['a negative count', usage({ prompt_tokens: -1 }), '/usage/prompt_tokens'],
    ['a fraction', usage({ completion_tokens: 1.5 }), '/usage/completion_tokens'],
    ['a text', usage({ prompt_tokens: '5' }), '/usage/prompt_tokens'],
    ['a boolean', usage({ prompt_tokens: true }), '/usage/prompt_tokens'],
    ['an object', usage({ prompt_tokens: {} }), '/usage/prompt_tokens'],
    ['a negative total', usage({ total_tokens: -1 }), '/usage/total_tokens'],
    ['more than there are', usage({ prompt_tokens: 10_000_000_001 }), '/usage/prompt_tokens'],
    ['details that are none', usage({ prompt_tokens_details: 5 }), '/usage/prompt_tokens_details'],
    [
      'more cached than input',
      usage({ prompt_tokens_details: { cached_tokens: 1_001 } }),
      '/usage/prompt_tokens_details/cached_tokens',
    ],
    [
      'more reasoning than output',
      usage({ completion_tokens_details: { reasoning_tokens: 301 } }),
      '/usage/completion_tokens_details/reasoning_tokens',
    ],
    [
      'more audio than output beside reasoning',
      usage({ completion_tokens_details: { reasoning_tokens: 200, audio_tokens: 101 } }),
      '/usage/completion_tokens_details/audio_tokens',
    ],
    [
      'a modality that is no list',
      { usageMetadata: { promptTokenCount: 5, promptTokensDetails: {} } },
      '/usageMetadata/promptTokensDetails',
    ],
    [
      'a count in a list',
      {
        usageMetadata: { promptTokenCount: 5, promptTokensDetails: [{ modality: 'AUDIO', tokenCount: -1 }] },
      },
      '/usageMetadata/promptTokensDetails/0/tokenCount',
    ],
    [
      'a compaction',
      {
        usage: { input_tokens: 1, output_tokens: 1, iterations: [{ type: 'compaction', input_tokens: -1 }] },
      },
      '/usage/iterations/0/input_tokens',
    ],
    [
      'within the events of a stream',
      { type: 'message-end', delta: { usage: { tokens: { input_tokens: -1 } } } },
      '/delta/usage/tokens/input_tokens',
    ],
    [
      'within its first one',
      { response: { type: 'message_start', message: usage({ prompt_tokens: -1 }) } },
      '/response/message/usage/prompt_tokens',
    ],
    ['within a response', { response: usage({ prompt_tokens: -1 }) }, '/response/usage/prompt_tokens'],
    [
      'a sum beyond all bounds',
      { usage: { input_tokens: 9e9, output_tokens: 1, cache_read_input_tokens: 9e9 } },
      '/usage',
    ],
    ['a shape that the provider does not have', { ...usage({}), provider: 'anthropic' }, '/usage'],
    ['the same, whatever its case', { ...usage({}), provider: 'Anthropic' }, '/usage'],
    [
      'one that another provider is told by',
      { usage: { input_tokens: 5, output_tokens: 5, cache_read_input_tokens: 9 }, provider: 'openai' },
      '/usage',
    ],
    ['a part that is no count', { ...usage({}), cachedInputTokens: 'many' }, '/cachedInputTokens'],
    ['parts beyond their whole', { ...usage({}), cachedInputTokens: 1_001 }, '/cachedInputTokens'],
  ])('%s', (_, metadata, pointer) => {
    expect(faultsOf(metadata)).toEqual([[`/metadata${pointer}`, 'usage_invalid']]);
  });

  it('numbers that no double holds', () => {
    const of = (number: string) => faultsOf(`{"usage":{"prompt_tokens":${number},"completion_tokens":1}}`);
    const invalid = [['/metadata/usage/prompt_tokens', 'usage_invalid']];
    expect(of('12345678901234567890')).toEqual(invalid);
    expect(of('10.00000000000000000001')).toEqual(invalid);
    expect(of('1e-400')).toEqual(invalid);
    expect(of('1e400')).toEqual(invalid);
    expect(of('10.0000000000000000')).toEqual([]);
    expect(of('-0')).toEqual([]);
  });
});

describe('every dialect with metadata', () => {
  const document = { usage: CACHED, model: 'gpt-5' };
  const cloudEvent = { specversion: '1.0', id: 'i', source: 's', type: 'chat', subject: 'c' };
  const inputs: [Dialect, (document: object) => object, string][] = [
    ['native', (metadata) => ({ ...EVENT, metadata }), '/metadata'],
    ['cloudevents', (data) => ({ ...cloudEvent, data }), '/data'],
    ['openmeter', (data) => ({ ...cloudEvent, data }), '/data'],
    [
      'lago',
      (properties) => ({ transaction_id: 't', external_subscription_id: 's', code: 'chat', properties }),
      '/properties',
    ],
    [
      'orb',
      (properties) => ({
        event_name: 'chat',
        idempotency_key: 'k',
        timestamp: EVENT.timestamp,
        customer_id: 'c',
        properties,
      }),
      '/properties',
    ],
    [
      'metronome',
      (properties) => ({
        transaction_id: 't',
        customer_id: 'c',
        event_type: 'chat',
        timestamp: EVENT.timestamp,
        properties,
      }),
      '/properties',
    ],
    [
      'stripe',
      (payload) => ({ event_name: 'chat', payload: { stripe_customer_id: 'c', ...payload } }),
      '/payload',
    ],
  ];
  const parsed = (dialect: Dialect, input: object, framing: 'json' | 'ndjson' = 'json') =>
    parseEvents(Buffer.from(JSON.stringify(input)), { dialect, framing }, RULES, 10);

  it.each(inputs)('%s', (dialect, input, pointer) => {
    for (const framing of ['json', 'ndjson'] as const) {
      const { events, faults } = parsed(dialect, input(document), framing);
      expect(faults).toEqual([]);
      expect(events).toMatchObject([
        {
          model: 'gpt-5',
          tokens: 1_300,
          inputTokens: 1_000,
          outputTokens: 300,
          document: { usage: CACHED, cachedInputTokens: 800, usageStatus: 'counted' },
        },
      ]);
    }
    expect(parsed(dialect, input({ usage: { ...CHAT, prompt_tokens: -1 } })).faults).toMatchObject([
      { pointer: `${pointer}/usage/prompt_tokens`, code: 'usage_invalid' },
    ]);
  });

  it('a member of a foreign document that is no column does not stand in the way of one', () => {
    const { events } = parsed('lago', inputs[3]![1]({ usage: CHAT, inputTokens: '12' }));
    expect(events).toMatchObject([{ inputTokens: 1_000, document: { inputTokens: '12' } }]);
  });
});

/** Objects of all shapes and of none, with counts that often contradict each other. */
const count = fc.oneof(
  { weight: 6, arbitrary: fc.nat(2_000) },
  fc.constantFrom(0, null, -1, 1.5, 'x', 10_000_000_001),
);
const names = [
  ...new Set(
    SHAPES.flatMap((shape) => [
      ...shape.wholes,
      ...shape.marks,
      ...[shape.cached, shape.cacheWrite, shape.reasoning, shape.audioInput, shape.audioOutput, shape.total]
        .flatMap((paths) => paths ?? [])
        .concat([...(shape.besideInput ?? []), ...(shape.besideOutput ?? [])].flat())
        .map((path) => path.join('.')),
    ]),
  ),
];
const anyUsage = fc
  .uniqueArray(fc.tuple(fc.constantFrom(...names, 'tokens', 'cache_else_tokens'), count), {
    selector: ([name]) => name,
    maxLength: 7,
  })
  .map((members) => {
    const usage: Record<string, unknown> = {};
    for (const [path, value] of members) {
      const keys = path.split('.');
      let at: Record<string, unknown> = usage;
      for (const key of keys.slice(0, -1)) {
        if (typeof at[key] !== 'object' || at[key] === null) at[key] = {};
        at = at[key] as Record<string, unknown>;
      }
      at[keys.at(-1)!] = value;
    }
    return usage;
  });
const ofShape = fc.constantFrom(...SHAPES).chain((shape) =>
  fc.array(fc.nat(900), { minLength: 12, maxLength: 12 }).map((numbers) => {
    const usage: Record<string, unknown> = {};
    const set = (path: readonly string[] | undefined, value: number) => {
      if (path === undefined) return;
      let at = usage;
      for (const key of path.slice(0, -1)) {
        at[key] ??= {};
        at = at[key] as Record<string, unknown>;
      }
      at[path.at(-1)!] = value;
    };
    const wholes = [shape.input, shape.output, ...(shape.besideInput ?? []), ...(shape.besideOutput ?? [])];
    for (const [i, paths] of wholes.entries()) set(paths[0], numbers[i]! + (i < 2 ? 900 : 0));
    for (const [i, paths] of [shape.cached, shape.cacheWrite, shape.reasoning, shape.audioOutput].entries()) {
      if (!wholes.includes(paths as never) && paths) set(paths[0], numbers[6 + i]! >> 1);
    }
    if (shape.name === 'openai_duration') return { type: 'duration', seconds: 1 };
    return usage;
  }),
);
const anyMetadata = fc.record(
  {
    usage: fc.oneof(anyUsage, ofShape, fc.constant(null)),
    usageMetadata: fc.oneof(anyUsage, ofShape),
    totalUsage: ofShape,
    response: fc.record({ usage: fc.oneof(anyUsage, ofShape), model: fc.string() }, { requiredKeys: [] }),
    type: fc.constantFrom('message', 'message_start', 'message_delta', 'message-end'),
    stop_reason: fc.constantFrom(null, 'end_turn'),
    message: fc.record({ usage: fc.oneof(anyUsage, ofShape), model: fc.string() }, { requiredKeys: [] }),
    delta: fc.record({ usage: fc.oneof(anyUsage, ofShape) }, { requiredKeys: [] }),
    provider: fc.constantFrom(...SHAPES_OF_PROVIDER.keys(), 'somebody', null),
    inputTokens: fc.constantFrom(0, 500, null),
    outputTokens: fc.constantFrom(0, 500, null),
    tokens: fc.constantFrom(7, null),
    cachedInputTokens: fc.constantFrom(0, 100, null),
    model: fc.constantFrom('m', null),
  },
  { requiredKeys: [] },
);

describe('whatever is sent', () => {
  it('counts are whole and not negative, parts within their wholes, and the total is the sum', () => {
    let counted = 0;
    fc.assert(
      fc.property(anyMetadata, (metadata) => {
        const { events, faults } = parse(metadata);
        expect(faults.every(({ code }) => code === 'usage_invalid')).toBe(true);
        expect(events.length + Number(faults.length > 0)).toBe(1);
        const [event] = events;
        if (!event?.aiUsage) return;
        const { inputTokens, outputTokens, tokens } = event;
        const part = (name: string) => (event.document![name] ?? 0) as number;
        const input = ['cachedInputTokens', 'cacheWriteTokens', 'audioInputTokens'].map(part);
        const output = ['reasoningTokens', 'audioOutputTokens'].map(part);
        for (const n of [...input, ...output]) expect(Number.isInteger(n) && n >= 0).toBe(true);
        const sum = (all: number[]) => all.reduce((a, b) => a + b, 0);
        if (inputTokens !== null) expect(sum(input)).toBeLessThanOrEqual(inputTokens);
        if (outputTokens !== null) expect(sum(output)).toBeLessThanOrEqual(outputTokens);
        if (metadata.tokens == null && (inputTokens !== null || outputTokens !== null)) {
          expect(tokens).toBe((inputTokens ?? 0) + (outputTokens ?? 0));
        }
        if (event.aiUsage.status === 'counted') {
          counted++;
          expect(inputTokens).not.toBe(null);
        } else if (event.aiUsage.status === 'unrecognised') {
          expect([inputTokens, outputTokens]).toEqual([
            metadata.inputTokens ?? null,
            metadata.outputTokens ?? null,
          ]);
        }
      }),
      { numRuns: 1_000 },
    );
    expect(counted).toBeGreaterThan(50); // a tenth of them, about
  });

  it.each([
    { prompt_tokens: 0, inputTokenDetails: { cacheWriteTokens: 1 } },
    { prompt_tokens: 5, inputTokenDetails: { cacheReadTokens: 4, cacheWriteTokens: 2 } },
    { prompt_tokens: 5, completion_tokens: 3, outputTokenDetails: { reasoningTokens: 4 } },
  ])('of two shapes, the parts of one are within the whole of the other: %j', (usage) => {
    expect(parse({ usage })).toMatchObject({
      faults: [],
      events: [{ inputTokens: null, outputTokens: null, aiUsage: { status: 'unrecognised' } }],
    });
  });

  it('an event that is read and sent again is the same', () => {
    fc.assert(
      fc.property(anyMetadata, (metadata) => {
        const [event] = parse(metadata).events;
        if (!event) return;
        const { model, tokens, inputTokens, outputTokens } = event;
        const columns = Object.fromEntries(
          Object.entries({ tokens, model, inputTokens, outputTokens }).filter(([, value]) => value !== null),
        );
        const [again] = parse({ ...columns, ...event.document }).events;
        expect(again).toMatchObject({ model, tokens, inputTokens, outputTokens });
        expect({ ...again!.document }).toEqual({ ...event.document });
      }),
      { numRuns: 1_000 },
    );
  });

  it('nothing is thrown', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('usage', 'response', 'x_groq', ...names), fc.jsonValue()),
        (any) => {
          const nested = { usage: any, response: { response: any, usage: any }, x_groq: any };
          const start = { type: 'message_start', message: any };
          const end = { type: 'message-end', delta: any, response: { ...start, delta: { usage: any } } };
          for (const metadata of [any, nested, start, end]) normaliseUsage(metadata as never, () => false);
        },
      ),
    );
  });
});

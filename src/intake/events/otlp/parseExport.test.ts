import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Attribute,
  aCall,
  anyValue,
  aSpan,
  keyValues,
  logsOf,
  toProtobuf,
  tracesOf,
} from '../../../../test/support/otlpExport.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { identify } from '../../../model/eventId.ts';
import type { CustomerRule } from './callToEvent.ts';
import { CUSTOMER_ATTRIBUTES } from './conventions.ts';
import { type ParsedExport, parseExport } from './parseExport.ts';

const USUAL: CustomerRule = { attributes: CUSTOMER_ATTRIBUTES, otherwise: null };
const RESPONSE = 'chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012';
const OTHER = 'chatcmpl-00000000000000000000000000000';

function rules() {
  const receivedMicros = Date.now() * 1_000;
  return { tenantId: 't', earliestMicros: Number.NaN, latestMicros: Number.NaN, receivedMicros };
}

function parse(
  body: Buffer,
  encoding: 'json' | 'protobuf',
  customer = USUAL,
  signal: 'traces' | 'logs' = 'traces',
) {
  return parseExport(body, { signal, encoding }, rules(), customer, 100);
}

/** What both encodings of an export are read as. */
function both(document: object, customer?: CustomerRule): ParsedExport {
  const signal = 'resourceLogs' in document ? 'logs' : 'traces';
  const json = parse(Buffer.from(JSON.stringify(document)), 'json', customer, signal);
  const wire = parse(toProtobuf(document), 'protobuf', customer, signal);
  expect(wire).toEqual(json);
  return json;
}

const of = (spans: object[], customer?: CustomerRule) => both(tracesOf(spans), customer);
const codes = ({ faults }: ParsedExport) =>
  faults.map(({ index, pointer, code }) => `${index} ${pointer} ${code}`);
const usage = ({ events }: ParsedExport) =>
  events.map(({ inputTokens, outputTokens, document }) => [inputTokens, outputTokens, document!.usageStatus]);

describe('a span', () => {
  it('that tells of a call becomes an event', () => {
    const span = aCall({
      'gen_ai.response.id': RESPONSE,
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.usage.cache_read.input_tokens': 800,
      'gen_ai.usage.cache_creation.input_tokens': 64,
      'gen_ai.usage.reasoning.output_tokens': 200,
      'gen_ai.conversation.id': 'conversation-7',
      'gen_ai.input.messages': 'a secret of the user',
    });
    const parsed = of([span]);
    expect(parsed).toMatchObject({ faults: [], total: 1, ignored: 0, repeated: 0, unknown: 0 });
    const [event] = parsed.events;
    expect(event).toMatchObject({
      ...identify(RESPONSE),
      tenantId: 't',
      customerId: 'acme',
      tsMicros: Number(BigInt(span.endTimeUnixNano as string) / 1_000n),
      eventType: 'gen_ai.chat',
      sourceId: 'shop',
      model: 'gpt-4o-2024-08-06',
      reference: 'conversation-7',
      inputTokens: 1000,
      outputTokens: 300,
      tokens: 1300,
      latencyMs: 1500,
    });
    expect(JSON.parse(event!.metadata!)).toEqual({
      provider: 'openai',
      usageStatus: 'counted',
      cachedInputTokens: 800,
      cacheWriteTokens: 64,
      reasoningTokens: 200,
      requestModel: 'gpt-4o',
      finishReason: 'stop',
      traceId: span.traceId,
      spanId: span.spanId,
    });
  });

  it('that has no response id is known by its own, and by no id that is one of few', () => {
    for (const id of [undefined, 'chatcmpl-842']) {
      const span = aCall(id === undefined ? {} : { 'gen_ai.response.id': id });
      expect(of([span]).events[0]).toMatchObject(identify(`${span.traceId}-${span.spanId}`));
    }
  });

  it.each<[string, Record<string, Attribute>]>([
    ['of a server', { 'http.route': '/chat', 'user.id': 'acme' }],
    ['of an agent', { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.usage.input_tokens': 5 }],
    ['of a workflow', { 'gen_ai.operation.name': 'invoke_workflow', 'gen_ai.usage.input_tokens': 5 }],
    ['of a tool', { 'gen_ai.operation.name': 'execute_tool' }],
    ['around calls of the AI SDK', { 'ai.operationId': 'ai.generateText', 'ai.usage.inputTokens': 5 }],
    ['around streams of it', { 'ai.operationId': 'ai.streamText', 'ai.usage.inputTokens': 5 }],
    ['of a tool of it', { 'ai.operationId': 'ai.toolCall' }],
    ['of a chain', { 'openinference.span.kind': 'CHAIN', 'llm.token_count.prompt': 5 }],
    ['of something else of Langfuse', { 'langfuse.observation.type': 'span' }],
    ['of an operation nobody knows, without tokens', { 'gen_ai.operation.name': 'rerank' }],
  ])('%s is ignored', (_, attributes) => {
    expect(of([aSpan(attributes, { traceId: '', spanId: '' })])).toMatchObject({
      total: 0,
      ignored: 1,
      faults: [],
    });
  });

  it.each<[string, Record<string, Attribute>, string]>([
    ['of text', { 'gen_ai.operation.name': 'text_completion' }, 'gen_ai.text_completion'],
    ['of embeddings', { 'gen_ai.operation.name': 'embeddings' }, 'gen_ai.embeddings'],
    ['of Google', { 'gen_ai.operation.name': 'generate_content' }, 'gen_ai.generate_content'],
    [
      'that nobody knows',
      { 'gen_ai.operation.name': 'rerank', 'gen_ai.usage.input_tokens': 5 },
      'gen_ai.call',
    ],
    ['that has no name', { 'gen_ai.usage.prompt_tokens': 5 }, 'gen_ai.call'],
    ['of the AI SDK', { 'ai.operationId': 'ai.streamText.doStream' }, 'gen_ai.chat'],
    [
      'of embeddings of it',
      { 'ai.operationId': 'ai.embedMany.doEmbed', 'ai.usage.tokens': 5 },
      'gen_ai.embeddings',
    ],
    ['of OpenInference', { 'openinference.span.kind': 'LLM' }, 'gen_ai.chat'],
    ['of Langfuse', { 'langfuse.observation.type': 'generation' }, 'gen_ai.chat'],
    ['of earlier Traceloop', { 'llm.request.type': 'completion' }, 'gen_ai.text_completion'],
  ])('of a call %s has its event type', (_, attributes, eventType) => {
    expect(of([aSpan({ ...attributes, 'user.id': 'acme' })]).events).toMatchObject([{ eventType }]);
  });

  it('takes integers however JSON has them, and customers to the last digit', () => {
    const span = aCall({
      'gen_ai.usage.input_tokens': { intValue: '1000' },
      'user.id': { intValue: '9007199254740993' },
    });
    expect(of([span]).events).toMatchObject([{ inputTokens: 1000, customerId: '9007199254740993' }]);
    const text = JSON.stringify(tracesOf([span])).replace('"9007199254740993"', '9007199254740993');
    expect(parse(Buffer.from(text), 'json').events).toMatchObject([{ customerId: '9007199254740993' }]);
    const whole = aCall({ 'gen_ai.usage.output_tokens': { doubleValue: 300 } });
    expect(of([whole]).events).toMatchObject([{ outputTokens: 300 }]);
  });

  it('of a call without counts is one of which they are unknown, and not of 0 tokens', () => {
    const span = aSpan(
      { 'gen_ai.operation.name': 'chat', 'user.id': 'acme' },
      { status: { code: 2, message: 'cut' } },
    );
    const parsed = of([span]);
    expect(parsed.unknown).toBe(1);
    expect(parsed.events).toMatchObject([{ tokens: null, inputTokens: null, outputTokens: null }]);
    expect(parsed.events[0]!.document).toMatchObject({ usageStatus: 'unknown', error: 'cut' });
  });

  it('of Langfuse has its parts beside the whole, unless its total says otherwise', () => {
    const details = {
      input: 136,
      output: 100,
      total: 1300,
      input_cached_tokens: 800,
      input_cache_write_tokens: 64,
      output_reasoning_tokens: 200,
    };
    const of1 = (usageDetails: object) =>
      of([
        aSpan({
          'langfuse.observation.type': 'generation',
          'langfuse.observation.model.name': 'gpt-4o',
          'langfuse.observation.usage_details': JSON.stringify(usageDetails),
          'user.id': 'acme',
        }),
      ]);
    expect(of1(details).events).toMatchObject([
      { inputTokens: 1000, outputTokens: 300, tokens: 1300, model: 'gpt-4o' },
    ]);
    expect(of1(details).events[0]!.document).toMatchObject({
      cachedInputTokens: 800,
      cacheWriteTokens: 64,
      reasoningTokens: 200,
    });
    expect(usage(of1({ input: 1000, output: 300, total: 1300, input_cached_tokens: 800 }))).toEqual([
      [1000, 300, 'counted'],
    ]);
    expect(usage(of1({ ...details, total: 7 }))).toEqual([[null, null, 'unrecognised']]);
    expect(codes(of1({ input: -1 }))).toEqual([
      '0 /attributes/langfuse.observation.usage_details/input out_of_range',
    ]);
  });

  it('has its provider by the name that OpenTelemetry has for it', () => {
    const named = (provider: string) =>
      of([aSpan({ 'gen_ai.operation.name': 'chat', 'gen_ai.system': provider, 'user.id': 'a' })]).events[0]!
        .document!.provider;
    expect(
      Object.fromEntries(
        [
          ...['openai.chat', 'OpenAI', 'anthropic.messages', 'aws.bedrock', 'amazon-bedrock', 'az.ai.openai'],
          ...[
            'google',
            'google.generative-ai',
            'google.vertex.chat',
            'MistralAI',
            'deepseek.chat',
            'constructor',
          ],
        ].map((name) => [name, named(name)]),
      ),
    ).toEqual({
      'openai.chat': 'openai',
      OpenAI: 'openai',
      'anthropic.messages': 'anthropic',
      'aws.bedrock': 'aws.bedrock',
      'amazon-bedrock': 'aws.bedrock',
      'az.ai.openai': 'azure.ai.openai',
      google: 'gcp.gen_ai',
      'google.generative-ai': 'gcp.gemini',
      'google.vertex.chat': 'gcp.vertex_ai',
      MistralAI: 'mistral_ai',
      'deepseek.chat': 'deepseek',
      constructor: 'constructor',
    });
  });
});

describe('a customer', () => {
  it('is in the first attribute of the list, of the span before its resource', () => {
    const rule = { attributes: ['team', 'user.id'], otherwise: null };
    expect(of([aCall({ team: 'red' })], rule).events).toMatchObject([{ customerId: 'red' }]);
    expect(of([aCall()], rule).events).toMatchObject([{ customerId: 'acme' }]);
    const document = tracesOf([aCall()], { team: 'blue' });
    expect(both(document, rule).events).toMatchObject([{ customerId: 'blue' }]);
  });

  it('that nobody names is the one of the tenant, or a fault', () => {
    const span = aCall({ 'user.id': '' });
    expect(of([span], { ...USUAL, otherwise: 'house' }).events).toMatchObject([{ customerId: 'house' }]);
    expect(codes(of([span]))).toEqual(['0 /attributes customer_missing']);
  });
});

describe('what is wrong with a span', () => {
  const wrong: [string, object, string[]][] = [
    ['no ids', aCall({}, { traceId: '', spanId: '' }), ['/spanId required']],
    ['ids of zeros', aCall({}, { traceId: '0'.repeat(32) }), ['/spanId required']],
    ['a short id', aCall({}, { spanId: 'abcd' }), ['/spanId required']],
    ['no time', aCall({}, { endTimeUnixNano: '0' }), ['/endTimeUnixNano required']],
    [
      'a negative count',
      aCall({ 'gen_ai.usage.input_tokens': -1 }),
      ['/attributes/gen_ai.usage.input_tokens out_of_range'],
    ],
    [
      'a huge count',
      aCall({ 'gen_ai.usage.input_tokens': { intValue: '9223372036854775807' } }),
      ['/attributes/gen_ai.usage.input_tokens out_of_range'],
    ],
    [
      'half a token',
      aCall({ 'gen_ai.usage.output_tokens': 1.5 }),
      ['/attributes/gen_ai.usage.output_tokens out_of_range'],
    ],
    [
      'a text as count',
      aCall({ 'gen_ai.usage.output_tokens': 'many' }),
      ['/attributes/gen_ai.usage.output_tokens type_invalid'],
    ],
    [
      'a map as count',
      aCall({ 'gen_ai.usage.output_tokens': { kvlistValue: {} } }),
      ['/attributes/gen_ai.usage.output_tokens type_invalid'],
    ],
    [
      'more cached than there was',
      aCall({ 'gen_ai.usage.cache_read.input_tokens': 1001 }),
      ['/attributes usage_inconsistent'],
    ],
    [
      'more reasoning than there was',
      aCall({ 'gen_ai.usage.reasoning.output_tokens': 301 }),
      ['/attributes usage_inconsistent'],
    ],
    ['a long customer', aCall({ 'user.id': 'x'.repeat(257) }), ['/attributes too_long']],
    ['NUL in a customer', aCall({ 'user.id': 'a\0b' }), ['/customerId text_invalid']],
    ['NUL in a response id', aCall({ 'gen_ai.response.id': `${RESPONSE}\0` }), ['/attributes text_invalid']],
  ];
  it.each(wrong)('%s: it is refused, and its neighbours are not', (_, span, faults) => {
    const parsed = of([aCall(), span, aCall()]);
    expect(codes(parsed)).toEqual(faults.map((fault) => `1 ${fault}`));
    expect(parsed.indexes).toEqual([0, 2]);
    expect(parsed.paths[1]).toBe('/resourceSpans/0/scopeSpans/0/spans/1');
  });

  it('half a character in a response id, which only JSON can say', () => {
    const spans = [aCall({ 'gen_ai.response.id': `${RESPONSE}\ud83d` }), aCall()];
    const parsed = parse(Buffer.from(JSON.stringify(tracesOf(spans))), 'json');
    expect(codes(parsed)).toEqual(['0 /attributes text_invalid']);
    expect(parsed.indexes).toEqual([1]);
  });

  it('nothing: what is too long for its place is cut, between two characters', () => {
    const long = `${'x'.repeat(255)}\u{1f600}`;
    const attributes = { 'gen_ai.agent.name': long, 'gen_ai.request.model': long, 'error.type': long };
    const { events } = both(tracesOf([aCall(attributes)], { 'service.name': long }));
    const cut = 'x'.repeat(255);
    expect(events).toMatchObject([
      { sourceId: cut, document: { agent: cut, requestModel: cut, error: cut } },
    ]);
  });

  it('a value of the wrong type in JSON', () => {
    const span = aCall({ 'gen_ai.usage.input_tokens': { intValue: 'ten' } });
    const parsed = parse(Buffer.from(JSON.stringify(tracesOf([span, aCall()]))), 'json');
    expect(codes(parsed)).toEqual(['0 /attributes/gen_ai.usage.input_tokens type_invalid']);
    expect(parsed.events).toHaveLength(1);
  });
});

describe('a call that several spans tell of', () => {
  const within = (parent: { traceId: unknown; spanId: unknown }) => ({
    traceId: parent.traceId,
    parentSpanId: parent.spanId as string,
  });
  const without = { 'gen_ai.usage.input_tokens': {}, 'gen_ai.usage.output_tokens': {} };

  it('is one where they have its response id, and the one with counts has them', () => {
    const id = { 'gen_ai.response.id': RESPONSE };
    const silent = aCall({ ...id, ...without });
    for (const spans of [
      [silent, aCall(id)],
      [aCall(id), silent],
      [aCall(id), aCall(id), silent],
    ]) {
      const parsed = of(spans);
      expect(usage(parsed)).toEqual([[1000, 300, 'counted']]);
      expect(parsed.repeated).toBe(spans.length - 1);
    }
  });

  it('is one where one is in the other and says the same, with all that both know', () => {
    const outer = aSpan({
      'openinference.span.kind': 'LLM',
      'llm.token_count.prompt': 1000,
      'llm.token_count.completion': 300,
      'llm.token_count.prompt_details.cache_read': 800,
      'user.id': 'acme',
    });
    const inner = aCall({ 'gen_ai.response.id': RESPONSE, 'user.id': {} }, within(outer));
    for (const spans of [
      [outer, inner],
      [inner, outer],
    ]) {
      const parsed = of(spans);
      expect(usage(parsed)).toEqual([[1000, 300, 'counted']]);
      expect(parsed.events[0]).toMatchObject({ ...identify(RESPONSE), customerId: 'acme' });
      expect(parsed.events[0]!.document).toMatchObject({ cachedInputTokens: 800 });
    }
  });

  it('is one where one of the two does not know the counts', () => {
    const outer = aCall(without);
    expect(usage(of([outer, aCall({}, within(outer))]))).toEqual([[1000, 300, 'counted']]);
    const knowing = aCall();
    expect(usage(of([knowing, aCall(without, within(knowing))]))).toEqual([[1000, 300, 'counted']]);
  });

  it('is told by the spans in one that has their sum, and in one around that', () => {
    const root = aCall({ 'gen_ai.usage.input_tokens': 2000, 'gen_ai.usage.output_tokens': 600 });
    const middle = aCall(
      { 'gen_ai.usage.input_tokens': 2000, 'gen_ai.usage.output_tokens': 600 },
      within(root),
    );
    const parsed = of([root, middle, aCall({}, within(middle)), aCall({}, within(middle))]);
    expect(usage(parsed)).toEqual([
      [1000, 300, 'counted'],
      [1000, 300, 'counted'],
    ]);
    expect(parsed.repeated).toBe(2);
  });

  it('are several where counts or response ids differ, or no span is in another', () => {
    const parent = aCall({ 'gen_ai.usage.input_tokens': 5 });
    expect(of([parent, aCall({}, within(parent))]).events).toHaveLength(2);
    const named = aCall({ 'gen_ai.response.id': RESPONSE });
    expect(of([named, aCall({ 'gen_ai.response.id': OTHER }, within(named))]).events).toHaveLength(2);
    expect(of([aCall(), aCall()]).events).toHaveLength(2);
  });

  it('is not told by the agent around it, as the AI SDK 7 has it: two steps, and their sum at the root', () => {
    const sum = { 'gen_ai.usage.input_tokens': 2000, 'gen_ai.usage.output_tokens': 600 };
    const root = aCall({ 'gen_ai.operation.name': 'invoke_agent', ...sum });
    const step = (response: string) => {
      const around = aSpan({ 'ai.step': 1 }, within(root));
      return [around, aCall({ 'gen_ai.response.id': response }, within(around))];
    };
    const parsed = of([root, ...step(RESPONSE), ...step(OTHER)]);
    expect(usage(parsed)).toEqual([
      [1000, 300, 'counted'],
      [1000, 300, 'counted'],
    ]);
    expect(parsed).toMatchObject({ ignored: 3, repeated: 0 });
  });

  it('is found whatever the spans say of who is in whom', () => {
    const a = aCall();
    const b = aCall({}, within(a));
    a.traceId = b.traceId;
    expect(of([{ ...a, parentSpanId: b.spanId }, b]).events).toHaveLength(1);
    expect(of([{ ...a, parentSpanId: a.spanId }]).events).toHaveLength(1);
  });
});

describe('a log record', () => {
  const now = String(BigInt(Date.now()) * 1_000_000n);
  const native = {
    eventId: 'e-1',
    customerId: 'acme',
    apiEndpoint: '/x',
    metadata: { tokens: 5, region: 'eu' },
  };
  const record = (more: object) => ({ timeUnixNano: now, severityNumber: 9, ...more });
  const mapOf = (value: unknown): Record<string, unknown> =>
    typeof value === 'object'
      ? {
          kvlistValue: {
            values: Object.entries(value!).map(([key, inner]) => ({ key, value: mapOf(inner) })),
          },
        }
      : anyValue(value as Attribute);

  it('is an event where its body is one, as a map or as JSON', () => {
    for (const body of [mapOf(native), anyValue(JSON.stringify(native))]) {
      const { events } = both(logsOf([record({ body })]));
      expect(events).toMatchObject([
        { externalId: 'e-1', customerId: 'acme', endpoint: '/x', tokens: 5, metadata: '{"region":"eu"}' },
      ]);
      expect(events[0]!.tsMicros).toBe(Number(BigInt(now) / 1_000n));
    }
    const cloudEvent = {
      specversion: '1.0',
      id: '1',
      source: '/gw',
      type: 'api.call',
      subject: 'acme',
      data: { tokens: 3 },
    };
    expect(both(logsOf([record({ body: mapOf(cloudEvent) })])).events).toMatchObject([
      { externalId: '/gw 1', eventType: 'api.call', tokens: 3 },
    ]);
  });

  it('is a call where its attributes are those of one', () => {
    const { attributes, traceId, spanId } = aCall({ 'gen_ai.response.id': RESPONSE });
    const parsed = both(logsOf([record({ attributes, traceId, spanId })]));
    expect(parsed.events).toMatchObject([{ ...identify(RESPONSE), inputTokens: 1000, latencyMs: null }]);
    expect(
      codes(
        both(
          logsOf([record({ attributes: keyValues({ 'gen_ai.operation.name': 'chat', 'user.id': 'a' }) })]),
        ),
      ),
    ).toEqual(['0 /spanId required']);
  });

  it('is ignored where it is neither, and refused where the event in it is wrong', () => {
    for (const body of ['{ not json', 'a line', '[1]', '{"eventId":"only"}']) {
      expect(both(logsOf([record({ body: anyValue(body) })]))).toMatchObject({ ignored: 1, total: 0 });
    }
    const wrong = { ...native, metadata: { tokens: -1 } };
    const parsed = both(logsOf([record({ body: mapOf(wrong) }), record({ body: mapOf(native) })]));
    expect(codes(parsed)).toEqual(['0 /metadata/tokens out_of_range']);
    expect(parsed.events).toHaveLength(1);
  });
});

describe('a body', () => {
  const refusal = (body: Buffer, encoding: 'json' | 'protobuf') => {
    try {
      parse(body, encoding);
      return null;
    } catch (error) {
      expect(error).toBeInstanceOf(TidemarkError);
      return (error as TidemarkError).code;
    }
  };

  it('that is empty in protobuf, or an empty object, has nothing in it', () => {
    expect(parse(Buffer.alloc(0), 'protobuf').total).toBe(0);
    expect(parse(Buffer.from('{}'), 'json').total).toBe(0);
    expect(parse(Buffer.from('{"resourceSpans":[{"scopeSpans":[{}]}]}'), 'json').total).toBe(0);
  });

  it.each([
    ['', 'invalid_json'],
    ['{"resourceSpans":[', 'invalid_json'],
    ['[]', 'invalid_request'],
    ['{"resourceSpans":{}}', 'invalid_request'],
    ['{"resourceSpans":[5]}', 'invalid_request'],
    ['{"resourceSpans":[{"scopeSpans":[{"spans":["x"]}]}]}', 'invalid_request'],
    ['\xff', 'invalid_encoding'],
  ])('of JSON that is no export is refused: %j', (text, code) => {
    expect(refusal(Buffer.from(text, 'latin1'), 'json')).toBe(code);
  });

  it('of protobuf that breaks off is refused, and no bytes do more harm', () => {
    const whole = toProtobuf(tracesOf([aCall(), aCall()]));
    for (let length = 1; length < whole.length; length++) {
      expect([length, refusal(whole.subarray(0, length), 'protobuf')]).toEqual([length, 'invalid_encoding']);
    }
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.nat(whole.length - 1),
        fc.nat(255),
        (bytes, at, byte) => {
          refusal(Buffer.from(bytes), 'protobuf');
          const spoilt = Buffer.from(whole);
          spoilt[at] = byte;
          expect([null, 'invalid_encoding']).toContain(refusal(spoilt, 'protobuf'));
        },
      ),
    );
  });

  it('of protobuf with deep values is refused where they are read, and with fields that nobody knows is not', () => {
    let deep: Record<string, unknown> = { stringValue: 'x' };
    for (let i = 0; i < 40; i++) deep = { arrayValue: { values: [deep] } };
    const body = toProtobuf(logsOf([{ body: deep }]));
    expect(() => parse(body, 'protobuf', USUAL, 'logs')).toThrow(/nested too deeply/);
    expect(of([aCall({ 'gen_ai.input.messages': deep })]).events).toHaveLength(1);
    const unknown = Buffer.from([0xfa, 0x07, 3, 1, 2, 3]); // field 127, three bytes
    expect(parse(Buffer.concat([unknown, toProtobuf(tracesOf([aCall()]))]), 'protobuf').events).toHaveLength(
      1,
    );
  });

  it('with more calls than a request may have is refused, whatever else is in it', () => {
    const calls = Array.from({ length: 101 }, () => aCall());
    const others = Array.from({ length: 200 }, () => aSpan({ 'http.route': '/' }));
    expect(refusal(toProtobuf(tracesOf(calls)), 'protobuf')).toBe('too_many_events');
    expect(of([...others, ...calls.slice(1)]).events).toHaveLength(100);
  });
});

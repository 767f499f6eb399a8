import { randomFillSync } from 'node:crypto';
import { aSpan, toProtobuf, tracesOf } from '../../test/support/otlpExport.ts';
import { RequestTemplate } from '../load/requestTemplate.ts';
import { makeEvent, seededRandom } from '../load/workload.ts';

/** A request that can be sent again and again, each time with events of its own that happen now. */
export interface Post {
  buffer: Buffer;
  renew(): void;
}

export interface PostOptions {
  port: number;
  key: string;
  /** Events, or spans that are calls. */
  events: number;
  seed: number;
}

export const ENCODINGS = ['native', 'json', 'protobuf'] as const;
export type Encoding = (typeof ENCODINGS)[number];

export function postOf(encoding: Encoding, { port, key, events, seed }: PostOptions): Post {
  const host = `127.0.0.1:${port}`;
  const headers = { Authorization: `Bearer ${key}` };
  if (encoding === 'native') return new RequestTemplate({ host, path: '/v1/events', headers, events, seed });
  return new SpanTemplate(encoding, host, headers, events, seed);
}

// What is written anew before each sending, of the length that it has then.
const START = '1111111111111111111';
const END = '2222222222222222222';
const ID = 'x'.repeat(24);

/** The calls of the usual workload as an instrumentation tells of them: 13 attributes, each with a response id. */
class SpanTemplate implements Post {
  readonly buffer: Buffer;
  private readonly encoding: 'json' | 'protobuf';
  private readonly ids: number[];
  private readonly starts: number[];
  private readonly ends: number[];
  private readonly random: Buffer;

  constructor(
    encoding: 'json' | 'protobuf',
    host: string,
    headers: Record<string, string>,
    count: number,
    seed: number,
  ) {
    this.encoding = encoding;
    const random = seededRandom(seed);
    const document = tracesOf(Array.from({ length: count }, () => spanOf(random)));
    const body = encoding === 'json' ? Buffer.from(JSON.stringify(document)) : toProtobuf(document);
    const type = encoding === 'json' ? 'application/json' : 'application/x-protobuf';
    const lines = Object.entries({
      Host: host,
      'Content-Type': type,
      'Content-Length': String(body.length),
      ...headers,
    }).map(([name, value]) => `${name}: ${value}\r\n`);
    this.buffer = Buffer.concat([
      Buffer.from(`POST /otlp/v1/traces HTTP/1.1\r\n${lines.join('')}\r\n`),
      body,
    ]);
    this.ids = this.placesOf(Buffer.from(ID));
    this.starts = this.placesOf(this.nanos(START));
    this.ends = this.placesOf(this.nanos(END));
    this.random = Buffer.alloc(count * 12);
    for (const places of [this.ids, this.starts, this.ends]) {
      if (places.length !== count) throw new Error(`${places.length} places for ${count} spans`);
    }
  }

  renew(): void {
    const { buffer, ids, starts, ends, random } = this;
    randomFillSync(random);
    const hex = random.toString('hex');
    const now = BigInt(Date.now()) * 1_000_000n;
    const [start, end] = [this.nanos(String(now - 800_000_000n)), this.nanos(String(now))];
    for (let i = 0; i < ids.length; i++) {
      buffer.write(hex.slice(i * 24, (i + 1) * 24), ids[i]!, 'latin1');
      start.copy(buffer, starts[i]!);
      end.copy(buffer, ends[i]!);
    }
  }

  private nanos(digits: string): Buffer {
    if (this.encoding === 'json') return Buffer.from(digits);
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(digits));
    return bytes;
  }

  private placesOf(bytes: Buffer): number[] {
    const places: number[] = [];
    for (let at = this.buffer.indexOf(bytes); at !== -1; at = this.buffer.indexOf(bytes, at + bytes.length)) {
      places.push(at);
    }
    return places;
  }
}

function spanOf(random: () => number) {
  const { customerId, model, inputTokens, outputTokens } = makeEvent(random, '', 0);
  return aSpan(
    {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': model!,
      'gen_ai.request.temperature': 0.7,
      'gen_ai.request.max_tokens': 1_000,
      'gen_ai.response.id': `chatcmpl-${ID}`,
      'gen_ai.response.model': model!,
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.usage.input_tokens': inputTokens!,
      'gen_ai.usage.output_tokens': outputTokens!,
      'server.address': 'api.openai.com',
      'server.port': 443,
      'user.id': customerId,
    },
    { startTimeUnixNano: START, endTimeUnixNano: END },
  );
}

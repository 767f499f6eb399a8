import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const MODEL = 'gpt-4o-2024-08-06';
/** What every chat uses. */
const USAGE = {
  prompt_tokens: 1000,
  completion_tokens: 300,
  total_tokens: 1300,
  prompt_tokens_details: { cached_tokens: 800, cache_write_tokens: 64, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 200, audio_tokens: 0 },
};
const TOOL_CALL = {
  id: 'call_1',
  type: 'function',
  function: { name: 'weather', arguments: '{"city":"Oslo"}' },
};

interface Asked {
  stream?: boolean;
  stream_options?: { include_usage?: boolean };
  messages?: { role: string }[];
  tools?: unknown[];
}

/** A server that answers chats and embeddings as OpenAI does, each of the same usage and with an id of its own. */
export class FakeOpenAi {
  /** Ids of the chats that it has answered. */
  readonly ids: string[] = [];
  private readonly server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const asked = JSON.parse(Buffer.concat(chunks).toString() || '{}') as Asked;
    if (request.url?.endsWith('/embeddings')) this.embed(response);
    else if (asked.stream) this.stream(response, asked);
    else this.chat(response, asked);
  });

  static async start(): Promise<FakeOpenAi> {
    const fake = new FakeOpenAi();
    fake.server.listen(0, '127.0.0.1');
    await once(fake.server, 'listening');
    return fake;
  }

  /** Of its API, for OPENAI_BASE_URL. */
  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private chat(response: ServerResponse, { tools, messages }: Asked): void {
    // Who brings tools is asked to call one, once.
    const calls = tools !== undefined && !messages?.some(({ role }) => role === 'tool');
    const message = calls
      ? { role: 'assistant', content: null, tool_calls: [TOOL_CALL] }
      : { role: 'assistant', content: 'Hello' };
    const choices = [{ index: 0, message, finish_reason: calls ? 'tool_calls' : 'stop' }];
    const body = { ...this.head('chat.completion'), choices, usage: USAGE };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  private stream(response: ServerResponse, { stream_options }: Asked): void {
    const head = this.head('chat.completion.chunk');
    const chunks: object[] = [
      {
        ...head,
        choices: [{ index: 0, delta: { role: 'assistant', content: 'Hello' }, finish_reason: null }],
      },
      { ...head, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
    ];
    if (stream_options?.include_usage) chunks.push({ ...head, choices: [], usage: USAGE });
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const chunk of chunks) response.write(`data: ${JSON.stringify(chunk)}\n\n`);
    response.end('data: [DONE]\n\n');
  }

  private embed(response: ServerResponse): void {
    const data = [{ object: 'embedding', index: 0, embedding: [0.1, 0.2] }];
    const usage = { prompt_tokens: 8, total_tokens: 8 };
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ object: 'list', model: 'text-embedding-3-small', data, usage }));
  }

  private head(object: string) {
    const id = `chatcmpl-${randomBytes(12).toString('hex')}`;
    this.ids.push(id);
    return { id, object, created: Math.floor(Date.now() / 1_000), model: MODEL };
  }
}

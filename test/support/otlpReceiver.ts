import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { until } from './service.ts';

/** A span as it came by OTLP, its attributes as plain values. */
export interface ReceivedSpan {
  traceId: string;
  spanId: string;
  parentSpanId: string | undefined;
  name: string;
  /** 1 internal, 2 server, 3 client. */
  kind: number;
  attributes: Record<string, unknown>;
  links: { traceId: string; spanId: string }[];
  events: unknown[];
  /** 2: error. */
  status: number;
  resource: Record<string, unknown>;
}

type KeyValue = { key: string; value: Record<string, unknown> };

/** A collector: takes OTLP over HTTP, and reads it where it is JSON. */
export class OtlpReceiver {
  readonly requests: { path: string; headers: IncomingHttpHeaders; body: Buffer }[] = [];
  readonly spans: ReceivedSpan[] = [];
  /** Undefined: it never answers. */
  status: number | undefined = 200;
  private readonly server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const raw = Buffer.concat(chunks);
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw;
    this.requests.push({ path: request.url ?? '', headers: request.headers, body });
    if (/json/.test(request.headers['content-type'] ?? '')) this.spans.push(...readSpans(body));
    if (this.status === undefined) return;
    response.writeHead(this.status, { 'content-type': 'application/json' }).end('{}');
  });

  static async start(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    receiver.server.listen(0, '127.0.0.1');
    await once(receiver.server, 'listening');
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** The spans that `which` picks, once there are at least so many. */
  async find(which: (span: ReceivedSpan) => boolean, count = 1): Promise<ReceivedSpan[]> {
    await until(() => this.spans.filter(which).length >= count);
    return this.spans.filter(which);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}

function readSpans(body: Buffer): ReceivedSpan[] {
  const { resourceSpans } = JSON.parse(body.toString());
  // biome-ignore lint/suspicious/noExplicitAny: OTLP as JSON
  return resourceSpans.flatMap(({ resource, scopeSpans }: any) =>
    // biome-ignore lint/suspicious/noExplicitAny: OTLP as JSON
    scopeSpans.flatMap(({ spans }: any) =>
      // biome-ignore lint/suspicious/noExplicitAny: OTLP as JSON
      spans.map((span: any) => ({
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId || undefined,
        name: span.name,
        kind: span.kind,
        attributes: plain(span.attributes),
        links: span.links ?? [],
        events: span.events ?? [],
        status: span.status?.code ?? 0,
        resource: plain(resource.attributes),
      })),
    ),
  );
}

function plain(attributes: KeyValue[] = []): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      const [type, raw] = Object.entries(value)[0] ?? [];
      return [key, type === 'intValue' ? Number(raw) : raw];
    }),
  );
}

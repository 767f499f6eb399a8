import http from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Attributes, context, propagation, SpanKind } from '@opentelemetry/api';
import { failSpan, tracer } from '../../../ground/telemetry/spans.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { type AttemptResult, type Destination, type Message, messageBody } from '../relay/outgoing.ts';
import { excerpt } from './excerpt.ts';
import type { GuardedLookup } from './guardedLookup.ts';
import { retryAfterMs } from './retryAfter.ts';
import { sign } from './signature.ts';

export interface WebhookSenderOptions {
  guard: GuardedLookup;
  /** Of one attempt in all, in ms. */
  timeoutMs: number;
}

/** Read of an answer at most, before its connection is given up. */
const MAX_ANSWER_BYTES = 4_096;
/** How long the body of an answer is waited for, in ms: what counts is its status. */
const BODY_MS = 1_000;
const MAX_HEADER_BYTES = 16_384;

const AGENT = {
  keepAlive: true,
  maxSockets: 64,
  maxTotalSockets: 1_024,
  maxFreeSockets: 256,
  timeout: 30_000,
};

/**
 * Sends webhooks. It follows no redirect, knows no proxy, and connects to nothing that the guard does not allow. A
 * connection that is kept was checked when it was made, and is used for the same host and port only.
 */
export class WebhookSender {
  private readonly options: WebhookSenderOptions;
  private readonly agents = { 'http:': new http.Agent(AGENT), 'https:': new https.Agent(AGENT) };

  constructor(options: WebhookSenderOptions) {
    this.options = options;
  }

  /**
   * One attempt. Whatever goes wrong is in the result.
   *
   * @throws when `signal` ends it.
   */
  send(
    message: Message,
    destination: Pick<Destination, 'url' | 'secrets'>,
    signal?: AbortSignal,
  ): Promise<AttemptResult> {
    return inClientSpan(message, destination.url, () => this.attempt(message, destination, signal));
  }

  private async attempt(
    message: Message,
    destination: Pick<Destination, 'url' | 'secrets'>,
    signal: AbortSignal | undefined,
  ): Promise<AttemptResult> {
    const started = performance.now();
    const abort = new AbortController();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      abort.abort();
    }, this.options.timeoutMs);
    const onCut = () => abort.abort();
    signal?.addEventListener('abort', onCut);
    try {
      signal?.throwIfAborted();
      const url = new URL(destination.url ?? '');
      const answer = await this.post(url, message, destination.secrets, abort.signal);
      const ok = answer.status >= 200 && answer.status < 300;
      return {
        ok,
        status: answer.status,
        error: ok ? null : `answered ${answer.status}`,
        response: answer.body,
        durationMs: performance.now() - started,
        retryAfterMs: ok ? undefined : answer.retryAfterMs,
      };
    } catch (error) {
      if (signal?.aborted) throw error;
      const said = late ? `no answer within ${this.options.timeoutMs} ms` : describe(error);
      return {
        ok: false,
        status: null,
        error: said,
        response: null,
        durationMs: performance.now() - started,
      };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onCut);
    }
  }

  close(): void {
    for (const agent of Object.values(this.agents)) agent.destroy();
  }

  private async post(url: URL, message: Message, secrets: string[], signal: AbortSignal): Promise<Answer> {
    if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new Error('not an http(s) URL');
    if (isIP(url.hostname.replace(/^\[(.*)\]$/, '$1')) !== 0)
      await this.options.guard.addresses(url.hostname);
    const body = messageBody(message);
    const timestamp = Math.floor(Date.now() / 1_000);
    const options: https.RequestOptions = {
      method: 'POST',
      agent: this.agents[url.protocol],
      lookup: this.options.guard.lookup,
      maxHeaderSize: MAX_HEADER_BYTES,
      signal,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        'user-agent': 'Tidemark',
        'webhook-id': message.id,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': sign(secrets, message.id, timestamp, body),
        ...traceHeaders(),
      },
    };
    return exchange(url, options, body);
  }
}

/**
 * By OpenTelemetry's semantic conventions for HTTP clients, but without the URL: the path and query of a webhook are
 * often its secret.
 */
function inClientSpan(
  message: Message,
  url: string | null,
  work: () => Promise<AttemptResult>,
): Promise<AttemptResult> {
  return tracer().startActiveSpan('POST', { kind: SpanKind.CLIENT }, async (span) => {
    if (span.isRecording()) span.setAttributes(attributesOf(message, url));
    try {
      const result = await work();
      if (result.status !== null) span.setAttribute('http.response.status_code', result.status);
      if (!result.ok) failSpan(span, result.status === null ? 'no_answer' : String(result.status));
      return result;
    } catch (error) {
      failSpan(span, 'cut_off');
      throw error;
    } finally {
      span.end();
    }
  });
}

function attributesOf(message: Message, url: string | null): Attributes {
  const target = url !== null && URL.canParse(url) ? new URL(url) : null;
  return {
    'http.request.method': 'POST',
    'tidemark.message.id': message.id,
    'tidemark.message.type': message.type,
    ...(target && {
      'server.address': target.hostname,
      'server.port': Number(target.port) || (target.protocol === 'https:' ? 443 : 80),
    }),
  };
}

/** W3C Trace Context of the span at hand; nothing without tracing. */
function traceHeaders(): Record<string, string> {
  const headers: Record<string, string> = {};
  propagation.inject(context.active(), headers);
  return headers;
}

interface Answer {
  status: number;
  body: string | null;
  retryAfterMs: number | undefined;
}

/** One request. A kept connection that the receiver closed just then is no failure: it is repeated on a new one. */
async function exchange(url: URL, options: https.RequestOptions, body: string): Promise<Answer> {
  const { request } = url.protocol === 'https:' ? https : http;
  for (;;) {
    const sent = request(url, options);
    try {
      const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
        sent.once('response', resolve);
        sent.on('error', reject);
        sent.end(body);
      });
      return {
        status: answer.statusCode ?? 0,
        body: await readExcerpt(answer),
        retryAfterMs: retryAfterMs(answer.headers['retry-after']),
      };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (!sent.reusedSocket || (code !== 'ECONNRESET' && code !== 'EPIPE')) throw error;
    }
  }
}

async function readExcerpt(answer: http.IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const done = new AbortController();
  await Promise.race([
    new Promise<void>((resolve) => {
      answer.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes >= MAX_ANSWER_BYTES) resolve();
      });
      answer.once('end', resolve);
      answer.once('close', resolve);
      answer.on('error', () => resolve());
    }),
    sleep(BODY_MS, undefined, { signal: done.signal }).catch(() => undefined),
  ]);
  done.abort();
  if (!answer.complete) answer.destroy();
  return excerpt(Buffer.concat(chunks));
}

function describe(error: unknown): string {
  if (error instanceof TidemarkError) return `${error.code}: ${error.message}`;
  const { code, message, errors } = error as NodeJS.ErrnoException & { errors?: Error[] };
  return excerpt(Buffer.from([code, message || errors?.[0]?.message].filter(Boolean).join(': '))) ?? 'failed';
}

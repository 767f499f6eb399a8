import { type Agent, request } from 'node:http';

/**
 * How a request ended: with a status; or without an answer, `refused` where nobody listens, `broken` when the
 * connection was lost, `hung` when nothing came in time.
 */
export type Outcome = number | 'refused' | 'broken' | 'hung';

export interface Reply {
  outcome: Outcome;
  /** From the call to its end. */
  ms: number;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the service says
  body: any;
}

export interface AskOptions {
  key?: string;
  /** Sent as JSON, by POST. */
  body?: unknown;
  /** Default: a connection of its own. */
  agent?: Agent | undefined;
  timeoutMs: number;
}

/** Sends one request to 127.0.0.1. Never rejects. */
export function ask(port: number, path: string, options: AskOptions): Promise<Reply> {
  const { key, body, agent, timeoutMs } = options;
  const began = performance.now();
  return new Promise((resolve) => {
    let hung = false;
    const settle = (outcome: Outcome, text = '') => {
      clearTimeout(timer);
      const ms = performance.now() - began;
      resolve({ outcome, ms, body: text.startsWith('{') ? JSON.parse(text) : text });
    };
    const sent = request(
      {
        ...{ host: '127.0.0.1', port, path, agent: agent ?? false },
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          ...(key && { authorization: `Bearer ${key}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => {
          text += part;
        });
        response.once('end', () => settle(response.statusCode!, text));
        response.once('error', () => settle(hung ? 'hung' : 'broken'));
      },
    );
    const timer = setTimeout(() => {
      hung = true;
      sent.destroy(new Error('hung'));
    }, timeoutMs);
    sent.once('error', (error: NodeJS.ErrnoException) => {
      settle(hung ? 'hung' : error.code === 'ECONNREFUSED' ? 'refused' : 'broken');
    });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

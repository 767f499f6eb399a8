import { useEffect, useState } from 'preact/hooks';
import { Problem, type Question, send } from './request.ts';

export interface StreamEvent {
  /** `message` where the service names no other. */
  event: string;
  data: string;
  id: string;
}

/** No byte for so long: the connection is dead, however it looks. Heartbeats come far more often. */
const SILENCE_MS = 45_000;
const MAX_WAIT_MS = 10_000;

/**
 * Takes a text/event-stream apart (WHATWG HTML, 9.2.6).
 *
 * @param onEvent called with each event that is complete.
 * @param onRetry with what the server asks for, in ms.
 * @param id of the last event before.
 * @returns what takes the next piece of text.
 */
export function eventReader(
  onEvent: (event: StreamEvent) => void,
  onRetry: (ms: number) => void = () => {},
  id = '',
): (text: string) => void {
  let rest = '';
  let event = '';
  let data: string[] = [];
  return (text) => {
    rest += text;
    // A CR at the very end may be the first half of a CRLF.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) onEvent({ event: event || 'message', data: data.join('\n'), id });
        event = '';
        data = [];
        continue;
      }
      const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/.exec(line)!;
      if (name === 'data') data.push(value);
      else if (name === 'event') event = value;
      else if (name === 'id') id = value;
      else if (name === 'retry' && /^\d+$/.test(value)) onRetry(Number(value));
    }
  };
}

export type StreamState = 'connecting' | 'open' | 'lost';

/**
 * Listens until the signal, and again after each end, from the last event on.
 *
 * @param onState lost: with why, where the service said it.
 */
export async function listen(
  question: Question,
  signal: AbortSignal,
  onEvent: (event: StreamEvent) => void,
  onState: (state: StreamState, problem: Problem | null) => void,
): Promise<void> {
  let lastId = '';
  let retryMs = 1_000;
  let failed = 0;
  while (!signal.aborted) {
    const stop = new AbortController();
    const end = () => stop.abort();
    signal.addEventListener('abort', end);
    let silence = setTimeout(end, SILENCE_MS);
    let problem: Problem | null = null;
    // A reader of its own: what the connection before was cut off in is no event.
    const read = eventReader(
      (told) => {
        lastId = told.id;
        failed = 0;
        onEvent(told);
      },
      (ms) => {
        retryMs = ms;
      },
      lastId,
    );
    try {
      const headers = { ...question.headers, Accept: 'text/event-stream' };
      if (lastId !== '') Object.assign(headers, { 'Last-Event-ID': lastId });
      const { body } = await send({ ...question, headers }, stop.signal);
      onState('open', null);
      const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        clearTimeout(silence);
        silence = setTimeout(end, SILENCE_MS);
        read(value);
      }
    } catch (error) {
      if (error instanceof Problem) problem = error;
    } finally {
      clearTimeout(silence);
      signal.removeEventListener('abort', end);
      stop.abort();
    }
    if (signal.aborted) return;
    onState('lost', problem);
    if (problem !== null && [400, 401, 403, 404].includes(problem.status)) return;
    const backoff = Math.min(MAX_WAIT_MS, retryMs * 2 ** failed++) * (0.75 + Math.random() / 2);
    const wait = Math.max(backoff, 1_000 * (problem?.retryAfter ?? 0));
    await new Promise((done) => setTimeout(done, wait));
  }
}

/** Listens for as long as it is drawn. The state, and why it is lost where the service said it. */
export function useStream(
  question: Question | null,
  onEvent: (event: StreamEvent) => void,
): { state: StreamState; problem: Problem | null } {
  const [now, setNow] = useState<{ state: StreamState; problem: Problem | null }>({
    state: 'connecting',
    problem: null,
  });
  const asked = question && JSON.stringify(question);
  useEffect(() => {
    if (asked === null) return;
    const stop = new AbortController();
    const told = (state: StreamState, problem: Problem | null) => setNow({ state, problem });
    void listen(JSON.parse(asked), stop.signal, onEvent, told);
    return () => stop.abort();
  }, [asked]);
  return now;
}

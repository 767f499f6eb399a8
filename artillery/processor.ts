import { randomUUID } from 'node:crypto';

/*
 * What the scenarios call. Artillery runs it in several worker threads, so sums are kept as its counters, which it
 * adds up for the report; run.ts compares them with the service.
 */

/** Events per batch. */
const BATCH = 200;
const MODELS = ['gpt-4o', 'claude-sonnet', 'llama-3-70b'];

interface Event {
  eventId: string;
  timestamp: string;
  customerId: string;
  apiEndpoint: string;
  metadata: { model: string; inputTokens: number; outputTokens: number; latencyMs: number };
}

/** The parts of Artillery's objects that are used here. */
interface Context {
  vars: { body?: Event | Event[] };
}
interface Request {
  json?: unknown;
}
interface Response {
  statusCode: number;
  body: string;
}
interface Events {
  emit(type: 'counter', name: string, value: number): void;
}

export async function oneEvent(request: Request, context: Context, events: Events): Promise<void> {
  send(request, context, anEvent(), events);
}

export async function aBatch(request: Request, context: Context, events: Events): Promise<void> {
  send(request, context, Array.from({ length: BATCH }, anEvent), events);
}

/** The events of the request before, with the same ids. */
export async function theSameAgain(request: Request, context: Context): Promise<void> {
  request.json = context.vars.body;
}

function send(request: Request, context: Context, body: Event | Event[], events: Events): void {
  context.vars.body = body;
  request.json = body;
  events.emit('counter', 'tidemark.posted', Array.isArray(body) ? body.length : 1);
}

/** Counts what was acknowledged. */
export async function count(
  _: Request,
  response: Response,
  { vars }: Context,
  events: Events,
): Promise<void> {
  const sent = [vars.body ?? []].flat();
  const { accepted, duplicates } = answerOf(response);
  const stored = response.statusCode === 200 && accepted === sent.length && duplicates === 0;
  events.emit('counter', 'tidemark.refused', stored ? 0 : 1); // a condition on it needs it to be there
  if (!stored) return;
  const sum = (of: (event: Event) => number) => sent.reduce((total, event) => total + of(event), 0);
  events.emit('counter', 'tidemark.acknowledged', sent.length);
  const inputTokens = sum(({ metadata }) => metadata.inputTokens);
  const outputTokens = sum(({ metadata }) => metadata.outputTokens);
  events.emit('counter', 'tidemark.input_tokens', inputTokens);
  events.emit('counter', 'tidemark.output_tokens', outputTokens);
}

/** A retry adds nothing: all of it must be known. */
export async function countRetry(
  _: Request,
  response: Response,
  { vars }: Context,
  events: Events,
): Promise<void> {
  const { accepted, duplicates } = answerOf(response);
  const known = response.statusCode === 200 && accepted === 0 && duplicates === [vars.body].flat().length;
  events.emit('counter', known ? 'tidemark.retried' : 'tidemark.refused', 1);
}

function answerOf({ body }: Response): { accepted?: number; duplicates?: number } {
  try {
    return JSON.parse(body);
  } catch {
    return {};
  }
}

function anEvent(): Event {
  return {
    eventId: randomUUID(),
    timestamp: new Date().toISOString(),
    customerId: process.env.TIDEMARK_RUN ?? 'artillery',
    apiEndpoint: '/api/completion',
    metadata: {
      model: MODELS[Math.floor(Math.random() * MODELS.length)]!,
      inputTokens: Math.floor(Math.random() * 2_000),
      outputTokens: Math.floor(Math.random() * 800),
      latencyMs: Math.round(Math.random() * 20_000) / 10,
    },
  };
}

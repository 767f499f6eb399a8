import {
  context,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';

/*
 * Spans by the OpenTelemetry API alone, which does nothing until startTracing has registered an SDK. Attributes hold
 * names, counts and statements with placeholders, never values: no span tells what an event says.
 */

/** Asked for each time: one that is kept stays with the first SDK it has met. */
export const tracer = () => trace.getTracer('tidemark');

/** Whose span a caller is in; undefined without tracing. */
export function callingSpan(): SpanContext | undefined {
  return trace.getActiveSpan()?.spanContext();
}

/** Does `work` in a span. How it fails is told by a code, since messages may quote data. */
export function inSpan<Result>(
  name: string,
  options: SpanOptions,
  work: (span: Span) => Promise<Result>,
): Promise<Result> {
  return tracer().startActiveSpan(name, options, async (span) => {
    try {
      return await work(span);
    } catch (error) {
      failSpan(span, errorType(error));
      throw error;
    } finally {
      span.end();
    }
  });
}

/** Does `work` in a span where its caller is in one that is recorded; background loops are not. */
export function inInnerSpan<Result>(
  name: string,
  options: () => SpanOptions,
  work: () => Promise<Result>,
): Promise<Result> {
  return trace.getActiveSpan()?.isRecording() ? inSpan(name, options(), work) : work();
}

/**
 * Does `work` for several callers at once: in a span of its own, in no caller's trace, linked to those that are
 * recorded. None where callers are traced and none of them recorded.
 */
export function inSharedSpan<Result>(
  name: string,
  callers: (SpanContext | undefined)[],
  work: (span: Span | undefined) => Promise<Result>,
): Promise<Result> {
  const links: Link[] = [];
  let untraced = false;
  for (const caller of callers) {
    if (!caller) untraced = true;
    else if (caller.traceFlags & TraceFlags.SAMPLED) links.push({ context: caller });
  }
  // Whoever has set this going was in the context of one of the callers, or of none of them.
  return context.with(ROOT_CONTEXT, () =>
    links.length > 0 || untraced ? inSpan(name, { root: true, links }, work) : work(undefined),
  );
}

/** A statement on the database, by the semantic conventions for databases. `text` has placeholders for its values. */
export function inStatementSpan<Result>(
  text: string,
  name: string | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  const operation = operationOf(text);
  return inInnerSpan(
    name === undefined ? operation : `${operation} ${name}`,
    () => ({
      kind: SpanKind.CLIENT,
      attributes: {
        'db.system.name': 'postgresql',
        'db.operation.name': operation,
        'db.query.text': text.replace(/\s+/g, ' ').trim(),
      },
    }),
    work,
  );
}

export function failSpan(span: Span, type: string): void {
  span.setAttribute('error.type', type);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

/** The code of an error (SQLSTATE, errno, our own), else the name of its class. */
export function errorType(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  if (typeof code === 'string') return code;
  return error instanceof Error ? error.constructor.name : typeof error;
}

function operationOf(text: string): string {
  return (/[a-z]+/i.exec(text)?.[0] ?? 'query').toUpperCase();
}

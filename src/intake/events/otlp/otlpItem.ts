import type { Wanted } from './conventions.ts';

/** A value that is of none of the types of OTLP's AnyValue, or of one that means nothing here: a map, bytes. */
export const UNREADABLE = Symbol('a value that cannot be read');

/** The value of an attribute. An integer that a double does not hold is a bigint. */
export type AttributeValue = string | number | bigint | boolean | string[] | typeof UNREADABLE;

/** Those attributes that somebody asks for, by their numbers (conventions.ts); the last one of a key counts. */
export type Attributes = readonly (AttributeValue | undefined)[];

/** The same, while they are read. */
export type NewAttributes = (AttributeValue | undefined)[];

/** What OTLP calls a signal: what an export is of. */
export type Signal = 'traces' | 'logs';

/** The names of an export's lists in JSON, from the outside in. */
export const LISTS = {
  traces: ['resourceSpans', 'scopeSpans', 'spans'],
  logs: ['resourceLogs', 'scopeLogs', 'logRecords'],
} as const satisfies Record<Signal, readonly string[]>;

/** What is read of a span or a log record: what usage is told by, and nothing of prompts and answers. */
export interface OtlpItem {
  /** Where the list is that it is in: a JSON pointer (RFC 6901) into the export as JSON. */
  list: string;
  /** Its position in that. */
  position: number;
  /** Lower-case hex; null: there is none, or one that is invalid. */
  traceId: string | null;
  spanId: string | null;
  /** Null: it is a root, as far as is known. */
  parentSpanId: string | null;
  /** Nanoseconds since the epoch, as digits; '' or '0': not set. A log record has an end alone. */
  start: string;
  end: string;
  attributes: Attributes;
  /** Of the resource that it is of. */
  resource: Attributes;
  /** Whether its status is an error. */
  failed: boolean;
  /** What its status says; '': nothing. */
  statusMessage: string;
  /** Of a log record: its body as plain values, where it is a text or a map. Texts are whole. */
  body?: unknown;
}

/** Told of one item after the other, so that no export is ever there as objects all at once. */
export type OnItem = (item: OtlpItem) => void;

/** Of what has none: an export may be all of such, and an array each would cost more than reading them. */
export const NO_ATTRIBUTES: Attributes = Object.freeze([]);

/** @returns attributes to be filled. */
export function newAttributes({ numbers }: Wanted): NewAttributes {
  return new Array<AttributeValue | undefined>(numbers.size).fill(undefined);
}

/** An item of which nothing is known yet. */
export function newItem(list: string, position: number, resource: Attributes): OtlpItem {
  return {
    list,
    position,
    traceId: null,
    spanId: null,
    parentSpanId: null,
    start: '',
    end: '',
    attributes: NO_ATTRIBUTES,
    resource,
    failed: false,
    statusMessage: '',
  };
}

const ZEROS = /^0*$/;

/** An id of so many bytes from its hex digits; null: it is none, or all zeros, which OTLP has for none. */
export function idFromHex(hex: unknown, bytes: number): string | null {
  if (typeof hex !== 'string' || hex.length !== bytes * 2 || !/^[0-9a-fA-F]+$/.test(hex)) return null;
  return ZEROS.test(hex) ? null : hex.toLowerCase();
}

export const TRACE_ID_BYTES = 16;
export const SPAN_ID_BYTES = 8;
/** Of `Status.code`: STATUS_CODE_ERROR. */
export const STATUS_ERROR = 2;

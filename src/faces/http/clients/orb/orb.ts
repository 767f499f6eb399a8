import { type EventFault, TidemarkError } from '../../../../model/errors.ts';
import { parseJson } from '../../../../model/json.ts';
import { bodyOfEvents, storeEvents } from '../../answerEvents.ts';
import { requireUtf8 } from '../../utf8.ts';
import { errorAnswer, jsonAnswer, theirStatus, wholeMessage } from '../answers.ts';
import type { ClientDialect } from '../clientDialect.ts';

const OPTIONS = {
  format: { dialect: 'orb', framing: 'json', envelope: 'events' },
  onInvalid: 'reject',
  async: false,
} as const;
const ERRORS = 'https://docs.withorb.com/reference/error-responses';
/** By status, those that its client makes an error of their own of. */
const TYPES: Record<number, string> = {
  400: '400-request-validation-errors',
  401: '401-authentication-error',
  404: '404-url-not-found',
  413: '413-request-too-large',
  429: '429-too-many-requests',
  500: '500-internal-server-error',
};

/** Ingest as Orb's client does it: all events of a request are stored, or none. */
export const orb: ClientDialect = {
  paths: ['/ingest'],
  refuse(c, error) {
    const status = theirStatus(error);
    const type = TYPES[status];
    const body = {
      type: type === undefined ? 'about:blank' : `${ERRORS}#${type}`,
      status,
      title: wholeMessage(error),
      detail: error.message,
      code: error.code,
      validation_errors: (error.errors ?? []).map(inWords),
      ...error.members,
    };
    return errorAnswer(c, error, { status, body });
  },
  routes(app, services) {
    app.post('/ingest', async (c) => {
      const body = await bodyOfEvents(c, services);
      const repeated = new Set<number>();
      await storeEvents(c, services, body, {
        ...OPTIONS,
        async onDuplicates(_events, indexes) {
          for (const index of indexes) repeated.add(index);
        },
      }).catch((error: unknown) => {
        throw withKeys(error, body);
      });
      if (c.req.query('debug') !== 'true') return jsonAnswer(c, { validation_failed: [] });
      const keys = keysOf(body);
      const duplicate = keys.filter((_, index) => repeated.has(index));
      const ingested = keys.filter((_, index) => !repeated.has(index));
      return jsonAnswer(c, { validation_failed: [], debug: { duplicate, ingested } });
    });
  },
};

const inWords = ({ index, pointer, message }: EventFault) => `events[${index}]${pointer}: ${message}`;

/** Says of which events, by their keys, what is wrong. */
function withKeys(error: unknown, body: Buffer): unknown {
  if (!(error instanceof TidemarkError && error.errors)) return error;
  const keys = keysOf(body);
  const failed = new Map<number, string[]>();
  for (const fault of error.errors) {
    failed.set(fault.index, [...(failed.get(fault.index) ?? []), `${fault.pointer} ${fault.message}`]);
  }
  const validation_failed = [...failed].map(([index, validation_errors]) => ({
    idempotency_key: keys[index] ?? '',
    validation_errors,
  }));
  const { code, message, errors, cause } = error;
  return new TidemarkError(code, message, { errors, members: { validation_failed }, cause });
}

/** The keys in a body that has been read already, in the order of its events; none of one that could not be. */
function keysOf(body: Buffer): string[] {
  try {
    const { events } = parseJson(requireUtf8(body)) as { events: { idempotency_key?: unknown }[] };
    return events.map((event) => (typeof event?.idempotency_key === 'string' ? event.idempotency_key : ''));
  } catch {
    return [];
  }
}

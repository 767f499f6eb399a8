import type { Context } from 'hono';
import type { Signal } from '../../../../intake/events/otlp/otlpItem.ts';
import { TidemarkError } from '../../../../model/errors.ts';
import { bodyOfEvents } from '../../answerEvents.ts';
import type { AppEnv } from '../../appEnv.ts';
import type { ClientDialect } from '../clientDialect.ts';
import { encodingOf, exportAnswer, MEDIA_TYPES, refuseExport } from './otlpAnswer.ts';
import { storeExport } from './storeExport.ts';

/** What is exported where, and what JSON calls the count of those that were not taken. */
const SIGNALS: readonly { path: string; signal: Signal; rejected: string }[] = [
  { path: '/otlp/v1/traces', signal: 'traces', rejected: 'rejectedSpans' },
  { path: '/otlp/v1/logs', signal: 'logs', rejected: 'rejectedLogRecords' },
];

/** OTLP over HTTP (1.x), as the exporters of OpenTelemetry's SDKs and its Collector speak it: docs/otlp.md. */
export const otlp: ClientDialect = {
  paths: ['/otlp/*'],
  refuse: refuseExport,
  routes(app, services) {
    for (const { path, signal, rejected } of SIGNALS) {
      app.post(path, async (c) => {
        const body = await bodyOfEvents(c, services);
        const encoding = requireEncoding(c);
        const outcome = await storeExport(c, services, body, { signal, encoding });
        return exportAnswer(c, encoding, rejected, outcome);
      });
    }
  },
};

/** @throws {TidemarkError} `unsupported_media_type`. */
function requireEncoding(c: Context<AppEnv>) {
  const encoding = encodingOf(c);
  if (encoding !== undefined) return encoding;
  const types = Object.values(MEDIA_TYPES);
  throw new TidemarkError('unsupported_media_type', `send Content-Type: ${types.join(' or ')}`, {
    headers: { Accept: types.join(', ') },
  });
}

import type { Context } from 'hono';
import { TidemarkError } from '../../../model/errors.ts';
import { bodyOfEvents } from '../answerEvents.ts';
import type { App, AppEnv } from '../appEnv.ts';
import { requestHeader } from '../nodeHttp.ts';
import type { Services } from '../services.ts';
import type { ClientDialect } from './clientDialect.ts';
import { isLagoBody, isLagoList, listLagoEvents, postLagoEvent } from './lago/events.ts';
import { lago } from './lago/lago.ts';
import { metronome } from './metronome/metronome.ts';
import { listOpenMeterEvents, postOpenMeterEvents } from './openmeter/events.ts';
import { openMeter } from './openmeter/openMeter.ts';
import { orb } from './orb/orb.ts';
import { otlp } from './otlp/otlp.ts';
import { stripe } from './stripe/stripe.ts';

/** Where the paths of two overlap, the later one has them. */
const DIALECTS: readonly ClientDialect[] = [openMeter, lago, stripe, orb, metronome, otlp];

/** Their paths beside those that every key of the service has to be shown at anyway. */
export const OUTSIDE_V1 = ['/api/v1/*', '/api/v2/*', '/v2/billing/*', '/ingest', '/otlp/*'];

/** The path of events that two clients have. */
const SHARED = '/api/v1/events';

/** Whether a path of the app is one of theirs, which docs/clients.md is about and not the description of the API. */
export function isClientPath(path: string): boolean {
  const matches = (pattern: string) =>
    path === pattern.replace(/\/\*$/, '') ||
    (pattern.endsWith('/*') && path.startsWith(pattern.slice(0, -1)));
  return DIALECTS.some(({ paths }) => paths.some(matches));
}

/** Has errors at their paths answered in their shapes. To be called before whatever may refuse a request. */
export function speakAsClients(app: App): void {
  for (const { paths, refuse } of DIALECTS) {
    for (const path of paths) {
      app.use(path, async (c, next) => {
        c.set('refuse', refuse);
        // Whatever is asked for by it: no text that the database holds has a NUL.
        if (/%00/.test(c.req.url))
          throw new TidemarkError('invalid_request', 'the address must not contain NUL');
        await next();
      });
    }
  }
}

export function clientRoutes(app: App, services: Services): void {
  // Told apart by what only one of the two sends.
  app.post(SHARED, async (c) => {
    const body = await bodyOfEvents(c, services);
    const isLago = isJson(c) && isLagoBody(body);
    c.set('refuse', (isLago ? lago : openMeter).refuse);
    return isLago ? postLagoEvent(c, services, body) : postOpenMeterEvents(c, services, body);
  });
  app.get(SHARED, (c) => {
    const isLago = isLagoList(Object.keys(c.req.query()));
    c.set('refuse', (isLago ? lago : openMeter).refuse);
    return isLago ? listLagoEvents(c, services) : listOpenMeterEvents(c, services);
  });
  for (const dialect of DIALECTS) dialect.routes(app, services);
}

function isJson(c: Context<AppEnv>): boolean {
  return /^application\/json\b/i.test(requestHeader(c, 'content-type') ?? '');
}

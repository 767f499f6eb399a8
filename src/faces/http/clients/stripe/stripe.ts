import type { ClientDialect } from '../clientDialect.ts';
import { adjustmentRoutes } from './adjustments.ts';
import { meterEventRoutes } from './meterEvents.ts';
import { meterRoutes } from './meters.ts';
import { sessionRoutes } from './sessions.ts';
import { refuseAsStripe } from './stripeError.ts';
import { summaryRoutes } from './summaries.ts';

/** Stripe's meters and their events, of v1 and v2, as its client calls them once it is given our host. */
export const stripe: ClientDialect = {
  paths: ['/v1/billing/*', '/v2/billing/*'],
  refuse: refuseAsStripe,
  routes(app, services) {
    meterEventRoutes(app, services);
    sessionRoutes(app, services);
    adjustmentRoutes(app, services);
    meterRoutes(app, services);
    summaryRoutes(app, services);
  },
};

import type { ClientDialect } from '../clientDialect.ts';
import { customerRoutes } from './customers.ts';
import { eventRoutes } from './events.ts';
import { meterRoutes } from './meters.ts';
import { metricRoutes } from './metrics.ts';
import { missingRoutes } from './missing.ts';
import { portalRoutes } from './portal.ts';
import { refuseAsOpenMeter } from './problems.ts';
import { queryRoutes } from './queries.ts';

/** OpenMeter's API as its client calls it: events, meters and their numbers, subjects and customers, portal tokens. */
export const openMeter: ClientDialect = {
  paths: ['/api/v1/*', '/api/v2/*'],
  refuse: refuseAsOpenMeter,
  routes(app, services) {
    eventRoutes(app, services);
    queryRoutes(app, services);
    meterRoutes(app, services);
    customerRoutes(app, services);
    portalRoutes(app, services);
    metricRoutes(app, services);
    missingRoutes(app);
  },
};

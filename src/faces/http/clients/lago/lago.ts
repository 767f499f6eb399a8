import type { ClientDialect } from '../clientDialect.ts';
import { billableMetricRoutes } from './billableMetrics.ts';
import { eventRoutes } from './events.ts';
import { refuseAsLago } from './lagoError.ts';

/** Events and billable metrics as Lago's clients know them; the event's subscription is the customer. */
export const lago: ClientDialect = {
  paths: ['/api/v1/events/batch', '/api/v1/events/:id', '/api/v1/billable_metrics/*'],
  refuse: refuseAsLago,
  routes(app, services) {
    eventRoutes(app, services);
    billableMetricRoutes(app, services);
  },
};

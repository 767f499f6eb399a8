import { collectDefaultMetrics, Registry } from 'prom-client';

/** A registry of its own per service, so that two services in one process (tests) do not share counts. */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

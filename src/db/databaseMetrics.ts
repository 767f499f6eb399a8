import { Gauge, type Registry } from 'prom-client';
import type { CircuitBreaker } from './circuitBreaker.ts';

/** Metrics of the database as this instance sees it. */
export function registerDatabaseMetrics(registry: Registry, breaker: CircuitBreaker): void {
  new Gauge({
    name: 'tidemark_database_up',
    help: '1 while the database answers, 0 while the circuit breaker refuses what needs it',
    registers: [registry],
    collect() {
      this.set(breaker.open ? 0 : 1);
    },
  });
  new Gauge({
    name: 'tidemark_database_trips',
    help: 'Times the circuit breaker has opened since the start',
    registers: [registry],
    collect() {
      this.set(breaker.trips);
    },
  });
}

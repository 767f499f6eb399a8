import type pg from 'pg';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { CircuitBreaker } from './circuitBreaker.ts';

/** Metrics of the database as this instance sees it, and of the pools that lead to it. */
export class DatabaseMetrics {
  /** Of statements on a pool, the wait for a connection included; those that failed too. */
  readonly statements: Histogram<'pool'>;
  private readonly pools = new Map<string, pg.Pool>();

  constructor(registry: Registry, breaker: Pick<CircuitBreaker, 'open' | 'trips'>) {
    const registers = [registry];
    const { pools } = this;
    new Gauge({
      name: 'tidemark_database_up',
      help: '1 while the database answers, 0 while the circuit breaker refuses what needs it',
      registers,
      collect() {
        this.set(breaker.open ? 0 : 1);
      },
    });
    new Counter({
      name: 'tidemark_database_trips_total',
      help: 'Times the circuit breaker has opened since the start',
      registers,
      collect() {
        this.reset();
        this.inc(breaker.trips);
      },
    });
    this.statements = new Histogram({
      name: 'tidemark_database_statement_seconds',
      help: 'Duration of a statement on a pool, the wait for a connection included, whatever came of it',
      labelNames: ['pool'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15],
      registers,
    });
    new Gauge({
      name: 'tidemark_database_pool_connections',
      help: 'Connections of a pool, by state: used or idle',
      labelNames: ['pool', 'state'],
      registers,
      collect() {
        for (const [name, pool] of pools) {
          this.set({ pool: name, state: 'used' }, pool.totalCount - pool.idleCount);
          this.set({ pool: name, state: 'idle' }, pool.idleCount);
        }
      },
    });
    const gauge = (name: string, help: string, value: (pool: pg.Pool) => number) =>
      new Gauge({
        name,
        help,
        labelNames: ['pool'],
        registers,
        collect() {
          for (const [of, pool] of pools) this.set({ pool: of }, value(pool));
        },
      });
    gauge(
      'tidemark_database_pool_waiting',
      'Statements that wait for a connection of a pool',
      (pool) => pool.waitingCount,
    );
    gauge('tidemark_database_pool_size', 'Connections that a pool may have', (pool) => pool.options.max);
  }

  /** @param name of what it is for: `read`, `admin`, `relay`. */
  watchPool(name: string, pool: pg.Pool): void {
    this.pools.set(name, pool);
  }
}

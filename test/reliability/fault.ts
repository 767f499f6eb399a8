import type { Outcome } from './httpRequest.ts';

/** How often and how long: the short way is for every push, the long one for figures. */
export interface Extent {
  /** How often the fault happens. */
  times: number;
  /** How long it lasts, in ms. */
  holdMs: number;
}

/** What goes wrong, and what the service may be seen doing meanwhile. */
export interface FaultOn<Trial> {
  name: string;
  /** For the table: what is done. */
  description: string;
  /** Whether the rollup engine has no part in it: once is then enough for both. */
  engineFree?: boolean;
  /** How often it has to happen to be tried at all, where that is more than once. */
  once?: number;
  short: Extent;
  long: Extent;
  /** Outcomes of requests beside 200 and 503 that it may cause. Default: none, every request gets its answer. */
  allowed?: Outcome[];
  /** Whether no post may fail at all. */
  unnoticed?: boolean;
  /** `away`: not ready while it lasts; `ready`: ready throughout; otherwise either. */
  readiness?: 'away' | 'ready';
  /** Instances that serve, default 1. */
  instances?: number;
  /** Whether the service reaches the database through `trial.proxy`. */
  proxied?: boolean;
  /** Servers of its own with this part of the data directory on a small disk: a full one may be the end of a server. */
  smallDisk?: 'base' | 'pg_wal';
  run(trial: Trial, extent: Extent): Promise<void>;
}

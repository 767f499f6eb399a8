import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { ErrorCode } from '../../model/errors.ts';

/** Metrics of requests, by the names of OpenTelemetry's semantic conventions where it has any. */
export class HttpMetrics {
  /** Requests under way. */
  active = 0;
  private readonly duration: Histogram<'http_request_method' | 'http_route' | 'http_response_status_code'>;
  private readonly problems: Counter<'code'>;

  /** @param ready what /readyz says. */
  constructor(registry: Registry, ready: () => boolean) {
    const registers = [registry];
    this.duration = new Histogram({
      name: 'http_server_request_duration_seconds',
      help: 'From the headers of a request to its answer being ready, by method, route and status',
      labelNames: ['http_request_method', 'http_route', 'http_response_status_code'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
      registers,
    });
    this.problems = new Counter({
      name: 'tidemark_http_problems_total',
      help: 'Requests refused or failed, by the code in their answer',
      labelNames: ['code'],
      registers,
    });
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(value());
        },
      });
    gauge('http_server_active_requests', 'Requests under way', () => this.active);
    gauge('tidemark_ready', '1 while /readyz answers 200', () => (ready() ? 1 : 0));
  }

  answered(method: string, route: string, status: number, seconds: number): void {
    this.duration.observe(
      { http_request_method: method, http_route: route, http_response_status_code: status },
      seconds,
    );
  }

  refused(code: ErrorCode): void {
    this.problems.inc({ code });
  }
}

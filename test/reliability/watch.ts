import { readFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from './httpRequest.ts';
import type { ServiceProcess } from './serviceProcess.ts';

const READY_EVERY_MS = 100;
const METRICS_EVERY_MS = 200;
const TIMEOUT_MS = 10_000;

export interface ReadySample {
  /** ms since the epoch. */
  asked: number;
  answered: number;
  ready: boolean;
}

/** Looks at one instance from outside, as a load balancer and Prometheus do. */
export class Watch {
  readonly ready: ReadySample[] = [];
  /** Most events that have waited at once. */
  queueMax = 0;
  rssMaxMb = 0;
  /** At the last look. */
  rssMb = 0;
  private readonly service: ServiceProcess;
  private readonly agent = new Agent({ keepAlive: true });
  private running = true;
  private readonly loops: Promise<unknown>;

  constructor(service: ServiceProcess) {
    this.service = service;
    this.loops = Promise.all([
      this.every(READY_EVERY_MS, () => this.askReady()),
      this.every(METRICS_EVERY_MS, () => this.askMetrics()),
    ]);
  }

  /** Whether a load balancer would send requests there. */
  get isReady(): boolean {
    return this.ready.at(-1)?.ready ?? true;
  }

  async stop(): Promise<void> {
    this.running = false;
    await this.loops;
    this.agent.destroy();
  }

  private async every(pauseMs: number, look: () => Promise<void>): Promise<void> {
    while (this.running) {
      await look();
      await sleep(pauseMs);
    }
  }

  private async askReady(): Promise<void> {
    const asked = Date.now();
    const { outcome } = await ask(this.service.port, '/readyz', {
      agent: this.agent,
      timeoutMs: TIMEOUT_MS,
    });
    this.ready.push({ asked, answered: Date.now(), ready: outcome === 200 });
  }

  private async askMetrics(): Promise<void> {
    const { pid, port } = this.service;
    if (pid === undefined) return;
    const { outcome, body } = await ask(port, '/metrics', { agent: this.agent, timeoutMs: TIMEOUT_MS });
    if (outcome === 200) {
      const rows = /^tidemark_ingest_queue_rows (\d+)/m.exec(body)?.[1];
      this.queueMax = Math.max(this.queueMax, Number(rows));
    }
    this.rssMb = residentMb(pid) ?? this.rssMb;
    this.rssMaxMb = Math.max(this.rssMaxMb, this.rssMb);
  }
}

/** Resident size of a process, in MB; null where the system does not tell (Linux does). */
function residentMb(pid: number): number | null {
  try {
    const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kib === undefined ? null : (Number(kib) * 1_024) / 1_000_000;
  } catch {
    return null;
  }
}

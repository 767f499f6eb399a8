import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { DeliveryConfig } from '../../../ground/config/delivery.ts';
import { BackgroundLoop } from '../../../ground/db/backgroundLoop.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import type { Logger } from '../../../ground/telemetry/logger.ts';
import { claimDeliveries } from './claimDeliveries.ts';
import { disableEndpoint } from './disableEndpoint.ts';
import { fanOutMessages } from './fanOutMessages.ts';
import { finishDelivery, releaseLane } from './finishDelivery.ts';
import type { AttemptResult, Outgoing } from './outgoing.ts';
import type { RelayMetrics } from './relayMetrics.ts';
import { verdictOn } from './verdict.ts';

export interface RelayOptions {
  config: DeliveryConfig;
  connect(): Promise<pg.Client>;
  /** Whether connections have sessions to listen in. */
  sessions: boolean;
  /** Where results are written. */
  db: Queryable;
  /** Adds what is made of a message only once somebody is to have it. */
  complete(delivery: Outgoing): Promise<Outgoing>;
  /** One attempt. Does not throw, except when the signal ends it. */
  send(delivery: Outgoing, signal: AbortSignal): Promise<AttemptResult>;
  metrics: RelayMetrics;
  log: Logger;
}

/** Deliveries of one customer in a row, and how long it may take in ms, before others get their turn. */
const LONGEST_RUN = 100;
const LONGEST_RUN_MS = 5_000;
/** How long attempts under way may go on once the relay is told to stop, in ms. */
const STOP_MS = 3_000;
const WRITE_RETRY_MS = 500;
const RETRY_MS = 500;

/**
 * Sends what is in the outbox, in every instance at once. A lane is one customer's messages to one subscription; whoever
 * has claimed it sends its first delivery, writes down what became of it, and only then goes on to the next. No
 * transaction is open while anything is sent. A lane whose holder has died is due again when its lease lapses.
 *
 * Invariants, for each lane:
 * - a delivery is sent only once those ahead of it are delivered or dead, and that has committed;
 * - nothing is sent that could not be over before the lease lapses, by this process's own clock.
 */
export class Relay extends BackgroundLoop {
  private readonly relay: RelayOptions;
  private readonly underWay = new Set<Promise<void>>();
  private readonly draining = new AbortController();
  private readonly cut = new AbortController();

  constructor(options: RelayOptions) {
    super({
      name: 'relay',
      connect: () => this.listen(),
      intervalMs: options.config.intervalMs,
      retryMs: RETRY_MS,
      log: options.log,
      round: (client) => this.round(client),
    });
    this.relay = options;
    setMaxListeners(0, this.cut.signal); // every attempt under way listens
  }

  /** Ends after what is being sent, which is cut off after a few seconds and left to another instance. */
  override async stop(): Promise<void> {
    this.draining.abort();
    await super.stop();
    const done = Promise.all(this.underWay);
    const patience = new AbortController();
    await Promise.race([done, sleep(STOP_MS, undefined, { signal: patience.signal }).catch(() => undefined)]);
    patience.abort();
    this.cut.abort();
    await done;
  }

  private async listen(): Promise<pg.Client> {
    const client = await this.relay.connect();
    if (!this.relay.sessions) return client;
    client.on('notification', () => this.wake());
    await client.query('listen tidemark_outbox');
    return client;
  }

  private async round(client: pg.Client): Promise<number> {
    const { config } = this.relay;
    while (await fanOutMessages(client)) {
      if (this.draining.signal.aborted) return 0;
    }
    for (;;) {
      const room = config.inFlight - this.underWay.size;
      if (room <= 0 || this.draining.signal.aborted) break;
      const claimedAt = performance.now();
      const claimed = await claimDeliveries(client, room, config);
      for (const delivery of claimed) this.begin(delivery, claimedAt);
      if (claimed.length < room) break;
    }
    return config.intervalMs;
  }

  private begin(first: Outgoing, claimedAt: number): void {
    const run: Promise<void> = this.workOff(first, claimedAt)
      .catch((error) => this.relay.log.warn({ err: error }, 'a delivery was given up until its lease lapses'))
      .finally(() => {
        this.underWay.delete(run);
        this.relay.metrics.inFlight.dec();
        this.wake();
      });
    this.underWay.add(run);
    this.relay.metrics.inFlight.inc();
  }

  /** Sends the deliveries of a lane, one after the other. */
  private async workOff(first: Outgoing, claimedAt: number): Promise<void> {
    const { config } = this.relay;
    const startedAt = performance.now();
    let leasedAt = claimedAt;
    let delivery: Outgoing | null = first;
    for (let sent = 1; delivery; sent++) {
      if (this.draining.signal.aborted) return releaseLane(this.relay.db, delivery);
      delivery = await this.relay.complete(delivery);
      if (performance.now() - leasedAt > config.leaseMs - 1.5 * config.timeoutMs) return;
      const result: AttemptResult | null = await this.attempt(delivery);
      if (!result) return releaseLane(this.relay.db, delivery);
      const goOn = sent < LONGEST_RUN && performance.now() - startedAt < LONGEST_RUN_MS;
      const finished = await this.finish(delivery, result, goOn, leasedAt + config.leaseMs);
      leasedAt = finished.at;
      delivery = finished.next;
    }
  }

  /** @returns null when it was cut off. */
  private async attempt(delivery: Outgoing): Promise<AttemptResult | null> {
    try {
      return await this.relay.send(delivery, this.cut.signal);
    } catch (error) {
      if (this.cut.signal.aborted) return null;
      throw error;
    }
  }

  /** Writes the result, again and again until the lease lapses: without it the message is sent once more. */
  private async finish(
    delivery: Outgoing,
    result: AttemptResult,
    goOn: boolean,
    until: number,
  ): Promise<{ next: Outgoing | null; at: number }> {
    const { config, db, metrics, log } = this.relay;
    const verdict = verdictOn(delivery, result, config);
    const transport = delivery.destination.stream === null ? 'webhook' : 'stream';
    metrics.attempts.observe({ transport }, result.durationMs / 1_000);
    for (;;) {
      const at = performance.now();
      try {
        if (result.status === 410 && transport === 'webhook') {
          await disableEndpoint(db, delivery.subscriptionId, '410 Gone');
        }
        const next = await finishDelivery(db, delivery, result, verdict, config, goOn);
        metrics.outcomes.inc({ transport, outcome: verdict.outcome });
        return { next, at };
      } catch (error) {
        if (this.cut.signal.aborted || performance.now() + WRITE_RETRY_MS > until) throw error;
        log.debug({ err: error }, 'the result of a delivery could not be written; trying again');
        await sleep(WRITE_RETRY_MS);
      }
    }
  }
}

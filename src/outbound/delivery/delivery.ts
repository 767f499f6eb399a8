import type pg from 'pg';
import type { Registry } from 'prom-client';
import type { DeliveryConfig } from '../../ground/config/delivery.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import type { TenantReads } from '../../ground/db/tenantReads.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { TidemarkError } from '../../model/errors.ts';
import type { Endpoint } from './endpointCheck.ts';
import { Housekeeper } from './relay/housekeeper.ts';
import type { AttemptResult, Destination, Message } from './relay/outgoing.ts';
import { Relay } from './relay/relay.ts';
import { RelayMetrics } from './relay/relayMetrics.ts';
import { withDigest } from './relay/withDigest.ts';
import { StreamSender } from './stream/streamSender.ts';
import { addressRule } from './webhook/addressRules.ts';
import { checkEndpoint } from './webhook/checkEndpoint.ts';
import { GuardedLookup, type Resolve } from './webhook/guardedLookup.ts';
import { WebhookSender } from './webhook/webhookSender.ts';

export interface DeliveryOptions {
  config: DeliveryConfig;
  /** How old an event may be that is accepted, in ms. */
  acceptBehindMs: number;
  connect(): Promise<pg.Client>;
  /** Whether connections have sessions to listen in. */
  sessions: boolean;
  /** Where results are written. */
  db: Queryable;
  /** Where events are read that digests are made of. */
  reads: Pick<TenantReads, 'inOneMoment'>;
  registry: Registry;
  log: Logger;
  /** How names of endpoints become addresses. Default: as everywhere on this machine. */
  resolve?: Resolve | undefined;
}

/** Sending, in this instance: what the service starts, stops, and asks about endpoints. */
export class Delivery {
  /** Whether there is a Redis for streams to be in. */
  private readonly hasStreams: boolean;
  private readonly guard: GuardedLookup;
  private readonly webhooks: WebhookSender;
  private readonly streams: StreamSender;
  private readonly relay: Relay;
  private readonly housekeeper: Housekeeper;

  constructor(options: DeliveryOptions) {
    const { config, acceptBehindMs, connect, sessions, db, reads, registry, log, resolve } = options;
    this.hasStreams = config.redisUrl !== undefined;
    this.guard = new GuardedLookup(addressRule(config.allowedNetworks), resolve);
    this.webhooks = new WebhookSender({ guard: this.guard, timeoutMs: config.timeoutMs });
    this.streams = new StreamSender({ url: config.redisUrl, maxLength: config.streamMaxLength });
    const metrics = new RelayMetrics(registry);
    this.relay = new Relay({
      ...{ config, connect, sessions, db, metrics, log },
      complete: (outgoing) => withDigest(db, reads, outgoing),
      send: ({ message, tenantId, destination }, signal) => this.send(message, tenantId, destination, signal),
    });
    this.housekeeper = new Housekeeper({ config, acceptBehindMs, connect, metrics, log });
  }

  start(): void {
    this.relay.start();
    this.housekeeper.start();
  }

  /** Has what is waiting looked at now. */
  wake(): void {
    this.relay.wake();
  }

  async stop(): Promise<void> {
    await Promise.all([this.relay.stop(), this.housekeeper.stop()]);
    this.webhooks.close();
    this.streams.close();
  }

  /**
   * Whether messages can be sent there. Nothing is sent.
   *
   * @throws {TidemarkError} `endpoint_forbidden`, `endpoint_unreachable`.
   */
  async checkEndpoint({ url }: Endpoint): Promise<void> {
    if (url !== undefined) return checkEndpoint(url, this.guard);
    if (this.hasStreams) return;
    throw new TidemarkError(
      'endpoint_unreachable',
      'stream: this service has no REDIS_URL to send streams to',
    );
  }

  /** One attempt, whatever comes of it. @throws when `signal` ends it. */
  send(
    message: Message,
    tenantId: string,
    destination: Destination,
    signal?: AbortSignal,
  ): Promise<AttemptResult> {
    return destination.stream === null
      ? this.webhooks.send(message, destination, signal)
      : this.streams.send(message, tenantId, destination.stream);
  }
}

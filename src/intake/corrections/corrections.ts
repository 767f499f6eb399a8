import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Registry } from 'prom-client';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { Turns } from '../../access/tenancy/turns.ts';
import type { Engine } from '../../ground/db/engine.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { errorCode, gaveWay, remedyFor } from '../../ground/db/sqlstate.ts';
import type { TenantReads } from '../../ground/db/tenantReads.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { TidemarkError } from '../../model/errors.ts';
import { Interest } from '../../outbound/delivery/interest.ts';
import type { VersionedEvent } from '../../sums/corrections/eventVersions.ts';
import type { LiveCounters } from '../../sums/live/liveCounters.ts';
import { Identities } from '../ingest/identities.ts';
import { correctEvents } from './correctEvents.ts';
import type { CorrectionRequest, CorrectionResult } from './correction.ts';
import { CorrectionMetrics } from './correctionMetrics.ts';
import { type CorrectionWork, correct } from './correctionTransaction.ts';
import { findEvent } from './findEvent.ts';
import type { NamedEvent } from './resolveIds.ts';

export interface CorrectionsOptions {
  engine: Engine;
  /** Opens a connection for one correction. */
  connect(): Promise<pg.Client>;
  /** Where identities are asked for, and tenants' data. */
  admin: Queryable;
  reads: TenantReads;
  live: LiveCounters;
  registry: Registry;
  log: Logger;
  /** How long one may wait for its answer, in ms, with its turn: below the silence after which its connection is closed. */
  answerWithinMs?: number;
  /** Told after a commit that may have left messages in the outbox. Must not throw. */
  onMessages(): void;
}

/** How often one that met another's work is done again at least, and for how long; and the first pause before it, in ms. */
const TRIES = 10;
const PATIENCE_MS = 20_000;
const FIRST_PAUSE_MS = 20;
/** How long one may wait for those before it, in ms: they are rare, and go one after the other in the whole database. */
const WAIT_MS = 30_000;
const ANSWER_MS = 35_000;
/** TimescaleDB: two statements have unpacked the same batch of a chunk. */
const INTERNAL_ERROR = 'XX000';

/**
 * Has events count no more, or again, or otherwise (docs/adr/0045). Each correction is one transaction on a connection of its own,
 * which it leaves behind nothing of when it fails; one that met others' work is done again. One at a time.
 */
export class Corrections {
  private readonly options: CorrectionsOptions;
  private readonly identities = new Identities();
  private readonly interest = new Interest();
  private readonly metrics: CorrectionMetrics;
  private readonly turns = new Turns(
    1,
    WAIT_MS,
    () =>
      new TidemarkError('overloaded', 'other corrections are under way; try again later', {
        retryAfterSeconds: 1,
      }),
  );

  constructor(options: CorrectionsOptions) {
    this.options = options;
    this.metrics = new CorrectionMetrics(options.registry);
  }

  /**
   * Corrects events, all that are known or none.
   *
   * @throws {TidemarkError} `event_voided`, `event_not_voided`, `event_counted_again` with the faults: nothing was changed;
   * `overloaded`, `database_unavailable`, `transaction_too_large`; `deadline_exceeded`, and it goes on.
   */
  correct(request: CorrectionRequest): Promise<CorrectionResult> {
    return this.run(correctEvents(request));
  }

  /**
   * The same for a correction of whatever kind.
   *
   * @throws {TidemarkError} what its `move` throws; `overloaded`, `database_unavailable`, `transaction_too_large`;
   * `deadline_exceeded`, and it goes on.
   */
  async run(work: CorrectionWork): Promise<CorrectionResult> {
    const done = this.inTurn(work);
    const { answerWithinMs = ANSWER_MS } = this.options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const message = 'the correction is still under way: look at the events before it is sent again';
        reject(new TidemarkError('deadline_exceeded', message, { retryAfterSeconds: 10 }));
      }, answerWithinMs);
    });
    try {
      return await Promise.race([done, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private inTurn(work: CorrectionWork): Promise<CorrectionResult> {
    return this.turns.take(async () => {
      const end = this.metrics.seconds.startTimer({ kind: work.kind });
      const result = await this.untilDone(work, randomUUID());
      end();
      if (result.id !== null) {
        this.metrics.corrections.inc({ kind: work.kind });
        this.metrics.events.inc({ kind: work.kind }, result.corrected);
        this.options.onMessages();
      }
      return result;
    });
  }

  /** An event with its versions. @throws {TidemarkError} `not_found`, `event_ambiguous`. */
  find(context: TenantContext, named: NamedEvent): Promise<VersionedEvent> {
    const { admin, reads } = this.options;
    return findEvent(admin, reads, this.identities, context, named);
  }

  /** @param id of the correction, the same each time: one whose answer was lost is known by it. */
  private async untilDone(work: CorrectionWork, id: string): Promise<CorrectionResult> {
    const began = performance.now();
    for (let tries = 1; ; tries++) {
      try {
        return await this.attempt(work, id);
      } catch (error) {
        if (error instanceof TidemarkError) throw error;
        if (remedyFor(error) === 'divide') throw tooLarge(error);
        const again =
          gaveWay(error) || errorCode(error) === INTERNAL_ERROR || remedyFor(error) === 'reconnect';
        if (!again) throw error;
        if (tries >= TRIES && performance.now() - began > PATIENCE_MS) {
          this.options.log.error({ err: error, kind: work.kind }, 'events were not corrected');
          throw new TidemarkError(
            'database_unavailable',
            'the events could not be corrected; try again later',
            {
              retryAfterSeconds: 1,
              cause: error,
            },
          );
        }
        this.metrics.retries.inc();
        await sleep(Math.min(1_000, FIRST_PAUSE_MS * 2 ** tries) * (0.5 + Math.random() / 2));
      }
    }
  }

  private async attempt(work: CorrectionWork, id: string): Promise<CorrectionResult> {
    const client = await this.options.connect();
    try {
      return await correct(client, this.tools(), work, id);
    } finally {
      // What is left of a transaction goes with its connection.
      void client.end().catch(() => undefined);
    }
  }

  private tools() {
    const { engine, live } = this.options;
    return { engine, live, identities: this.identities, interest: this.interest };
  }
}

function tooLarge(cause: unknown): TidemarkError {
  return new TidemarkError(
    'transaction_too_large',
    'it needs more locks or memory than one transaction may have; correct fewer events, or events of fewer days, at a time',
    { cause },
  );
}

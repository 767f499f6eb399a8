import type { Queryable } from '../../ground/db/queryable.ts';
import { type ErrorCode, TidemarkError } from '../../model/errors.ts';
import { ExpiringCache } from './expiringCache.ts';
import { hashKey } from './secrets.ts';
import { Turns } from './turns.ts';
import type { WrongKeys } from './wrongKeys.ts';

/** How long a secret is believed before the database is asked again, in ms: what a revocation takes at most. */
const TTL_MS = 5_000;
/** The same for a secret that was refused, in ms: short, so that a new one works at once. */
const REFUSED_TTL_MS = 1_000;
/** For how long a secret that was good is looked up even from an address that is slowed down, in ms. */
const PROVEN_TTL_MS = 3_600_000;
/** Longest header whose holder is remembered, in characters: a secret of ours has 47, and who sends more has to wait. */
const MAX_HEADER = 256;
/** Look-ups at a time, as many as there are connections. What waits is asked again whether its address is slowed. */
const LOOKUPS_AT_ONCE = 2;

/** Why a secret is not good. */
export interface Refusal {
  refused: ErrorCode;
  message: string;
}

/** Whom a secret speaks for. */
export interface SecretHolder {
  /** When the secret ends, in ms since the epoch; null: it has no end. */
  expiresAt: number | null;
}

/** What the database says of a secret. */
export type Verdict<Holder extends SecretHolder> = Holder | Refusal;

export interface BearerOptions {
  db: Queryable;
  wrongKeys: WrongKeys;
  /** How long a secret may wait to be looked up, in ms. */
  waitMs: number;
}

interface Known<Holder> {
  holder: Holder;
  /** When the database was asked (performance.now()). */
  asked: number;
}

/**
 * Turns the Authorization header into whom its secret speaks for: what keys and portal tokens have in common.
 *
 * A secret is found by its SHA-256 in a unique index. That takes no constant time, and need not: who measures it learns
 * about the hash of a guess, and cannot choose a guess by its hash. Those of the configuration are compared in constant
 * time.
 *
 * From an address that is slowed down for its wrong secrets, one that has been good within the hour goes on working; one
 * that has not waits for the address's turn. Of those of the configuration, which may be weak, that holds for each
 * address by itself: otherwise guessing would be free wherever the right one is in use.
 *
 * What a header has been found to say is remembered for as long as its secret is believed, and no longer. Finding it
 * again takes no constant time either: a Map compares texts only where their hashes are equal, which Node seeds at random.
 */
export abstract class BearerAuthenticator<Holder extends SecretHolder> {
  protected readonly db: Queryable;
  private readonly wrongKeys: WrongKeys;
  private readonly known = new ExpiringCache<Known<Holder>>(TTL_MS);
  private readonly byHeader = new ExpiringCache<Known<Holder>>(TTL_MS);
  private readonly refused = new ExpiringCache<Refusal>(REFUSED_TTL_MS);
  private readonly proven = new ExpiringCache<true>(PROVEN_TTL_MS);
  private readonly turns: Turns;
  /** Goes up when a secret changes: what was asked before is not remembered after. */
  private changes = 0;

  constructor({ db, wrongKeys, waitMs }: BearerOptions) {
    this.db = db;
    this.wrongKeys = wrongKeys;
    this.turns = new Turns(LOOKUPS_AT_ONCE, waitMs, busy);
  }

  /** @throws {TidemarkError} `unauthenticated` for a secret of another kind. */
  protected abstract requireKind(secret: string): void;

  /** What to send, for who has sent nothing. */
  protected abstract wanted(): string;

  /** The code of a secret that there is not, which is counted as wrong. */
  protected abstract readonly unknownCode: ErrorCode;

  /** What the database says of the secret of this hash. */
  protected abstract look(hash: Buffer): Promise<Verdict<Holder>>;

  /** It has been looked up, and is good. */
  protected abstract noteUse(holder: Holder): void;

  /** Whom a secret of the configuration speaks for. */
  protected configured(_hash: Buffer): Holder | undefined {
    return undefined;
  }

  /**
   * The holder of a secret that was shown in the same header a moment ago and is still believed; undefined:
   * `authenticate` is to be asked. A secret of the configuration is never among them.
   */
  recall(header: string | undefined): Holder | undefined {
    return header === undefined ? undefined : stillValid(this.byHeader.get(header))?.holder;
  }

  /**
   * @param header the value of Authorization, `Bearer …`.
   * @param addressOf whom wrong secrets are counted for: `countedAddress` of the client.
   * @throws {TidemarkError} `unauthenticated`, the codes of the kind, `tenant_inactive`, `too_many_requests`,
   * `database_unavailable`.
   */
  async authenticate(header: string | undefined, addressOf: () => string): Promise<Holder> {
    const recalled = this.recall(header);
    if (recalled) return recalled;
    const secret = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1];
    if (header === undefined || secret === undefined) {
      throw new TidemarkError('unauthenticated', this.wanted());
    }
    this.requireKind(secret);
    const hash = hashKey(secret);
    const cacheKey = hash.toString('latin1');
    const known = this.remember(header, cacheKey);
    if (known) return known.holder;

    const address = addressOf();
    const configured = this.configured(hash);
    const proof = configured ? `${cacheKey}${address}` : cacheKey;
    const proven = this.proven.get(proof) === true;
    if (configured && proven) return configured;
    const verdict = await this.judge({ hash, cacheKey, address, configured, proven });
    if (!('refused' in verdict)) {
      this.proven.set(proof, true);
      this.remember(header, cacheKey);
      return verdict;
    }
    throw new TidemarkError(verdict.refused, verdict.message);
  }

  /** Forgets all secrets: one has just been changed by this instance. */
  forget(): void {
    this.changes++;
    this.known.clear();
    this.byHeader.clear();
    this.refused.clear();
  }

  /** The holder of a secret that is believed, from now on also by the header that it was shown in. */
  private remember(header: string, cacheKey: string): Known<Holder> | undefined {
    const known = stillValid(this.known.get(cacheKey));
    if (known && header.length <= MAX_HEADER) this.byHeader.set(header, known, known.asked);
    return known;
  }

  private async judge(shown: {
    hash: Buffer;
    cacheKey: string;
    address: string;
    configured: Holder | undefined;
    proven: boolean;
  }): Promise<Verdict<Holder>> {
    const { wrongKeys } = this;
    const { hash, cacheKey, address, configured, proven } = shown;
    const admitted = proven || (await wrongKeys.admit(address)) === 'in turn';
    const refused = this.refused.get(cacheKey);
    if (refused) return this.counted(refused, address);
    return this.turns.take(async () => {
      if (!admitted) await wrongKeys.admit(address); // others of this address may have been wrong meanwhile
      if (configured) return configured;
      const verdict =
        stillValid(this.known.get(cacheKey))?.holder ??
        this.refused.get(cacheKey) ??
        this.ask(hash, cacheKey);
      return this.counted(await verdict, address); // before the next takes its turn
    });
  }

  private async counted(verdict: Verdict<Holder>, address: string): Promise<Verdict<Holder>> {
    if ('refused' in verdict && verdict.refused === this.unknownCode) await this.wrongKeys.note(address);
    return verdict;
  }

  private async ask(hash: Buffer, cacheKey: string): Promise<Verdict<Holder>> {
    const { changes } = this;
    const asked = performance.now();
    const verdict = await this.look(hash);
    const current = changes === this.changes;
    if ('refused' in verdict) {
      if (current) this.refused.set(cacheKey, verdict, asked);
      return verdict;
    }
    if (current) this.known.set(cacheKey, { holder: verdict, asked }, asked);
    this.noteUse(verdict);
    return verdict;
  }
}

function stillValid<Holder extends SecretHolder>(
  known: Known<Holder> | undefined,
): Known<Holder> | undefined {
  if (!known) return undefined;
  const { expiresAt } = known.holder;
  return expiresAt === null || expiresAt > Date.now() ? known : undefined;
}

function busy(): TidemarkError {
  return new TidemarkError('database_unavailable', 'the key could not be looked up in time', {
    retryAfterSeconds: 1,
  });
}

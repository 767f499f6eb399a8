import type { Queryable } from '../../ground/db/queryable.ts';
import { type ErrorCode, TidemarkError } from '../../model/errors.ts';
import { type Caller, SCOPES, type Scope } from './caller.ts';
import { ExpiringCache } from './expiringCache.ts';
import { hashKey, sameHash } from './secrets.ts';
import { type LimitDefaults, limitsOf } from './tenantLimits.ts';
import { Turns } from './turns.ts';
import type { WrongKeys } from './wrongKeys.ts';

/** How long a key is believed before the database is asked again, in ms: what a revocation takes at most. */
const TTL_MS = 5_000;
/** The same for a key that was refused, in ms: short, so that a new key works at once. */
const REFUSED_TTL_MS = 1_000;
/** For how long a key that was good is looked up even from an address that is slowed down, in ms. */
const PROVEN_TTL_MS = 3_600_000;
/** Longest header whose caller is remembered, in characters: a key of ours has 46, and who sends more has to wait. */
const MAX_HEADER = 256;
/** Look-ups at a time, as many as there are connections. What waits is asked again whether its address is slowed. */
const LOOKUPS_AT_ONCE = 2;

interface Refusal {
  refused: ErrorCode;
  message: string;
}
type Verdict = Caller | Refusal;

export interface AuthenticatorOptions {
  db: Queryable;
  /** The platform keys of the configuration. */
  adminKeys: string[];
  wrongKeys: WrongKeys;
  /** Of tenants that have none of their own. */
  limits: LimitDefaults;
  /** How long a key may wait to be looked up, in ms. */
  waitMs: number;
}

/**
 * Turns the Authorization header into a caller.
 *
 * A key is found by its SHA-256 in a unique index. That takes no constant time, and need not: who measures it learns
 * about the hash of a guess, and cannot choose a guess by its hash. The configured keys are compared in constant time.
 *
 * From an address that is slowed down for its wrong keys, a key that has been good within the hour goes on working; one
 * that has not waits for the address's turn. Of the keys of the configuration, which may be weak, that holds for each
 * address by itself: otherwise guessing would be free wherever the right key is in use.
 *
 * What a header has been found to say is remembered for as long as its key is believed, and no longer. Finding it again
 * takes no constant time either: a Map compares texts only where their hashes are equal, which Node seeds at random.
 */
export class Authenticator {
  private readonly options: AuthenticatorOptions;
  private readonly adminHashes: Buffer[];
  private readonly known = new ExpiringCache<KnownCaller>(TTL_MS);
  private readonly byHeader = new ExpiringCache<KnownCaller>(TTL_MS);
  private readonly refused = new ExpiringCache<Refusal>(REFUSED_TTL_MS);
  private readonly proven = new ExpiringCache<true>(PROVEN_TTL_MS);
  private readonly turns: Turns;
  /** Goes up when a key changes: what was asked before is not remembered after. */
  private changes = 0;

  constructor(options: AuthenticatorOptions) {
    this.options = options;
    this.adminHashes = options.adminKeys.map(hashKey);
    this.turns = new Turns(LOOKUPS_AT_ONCE, options.waitMs, busy);
  }

  /**
   * The caller of a tenant's or platform's key that was shown in the same header a moment ago and is still believed;
   * undefined: `authenticate` is to be asked. A key of the configuration is never among them.
   */
  recall(header: string | undefined): Caller | undefined {
    return header === undefined ? undefined : stillValid(this.byHeader.get(header));
  }

  /**
   * @param header the value of Authorization, `Bearer …`.
   * @param addressOf whom wrong keys are counted for: `countedAddress` of the client.
   * @throws {TidemarkError} `unauthenticated`, `key_unknown`, `key_revoked`, `key_expired`, `tenant_inactive`,
   * `too_many_requests`, `database_unavailable`.
   */
  async authenticate(header: string | undefined, addressOf: () => string): Promise<Caller> {
    const recalled = this.recall(header);
    if (recalled) return recalled;
    const key = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1];
    if (header === undefined || key === undefined) {
      throw new TidemarkError('unauthenticated', 'send a key as "Authorization: Bearer tm_…"');
    }
    const hash = hashKey(key);
    const cacheKey = hash.toString('latin1');
    const known = this.remember(header, cacheKey);
    if (known) return known;

    const address = addressOf();
    const isAdminKey = this.adminHashes.some((admin) => sameHash(hash, admin));
    const proof = isAdminKey ? `${cacheKey}${address}` : cacheKey;
    const proven = this.proven.get(proof) === true;
    if (isAdminKey && proven) return PLATFORM;
    const verdict = await this.judge({ hash, cacheKey, address, isAdminKey, proven });
    if (!('refused' in verdict)) {
      this.proven.set(proof, true);
      this.remember(header, cacheKey);
      return verdict;
    }
    throw new TidemarkError(verdict.refused, verdict.message);
  }

  /** Forgets all keys: one has just been changed by this instance. */
  forget(): void {
    this.changes++;
    this.known.clear();
    this.byHeader.clear();
    this.refused.clear();
  }

  /** The caller of a key that is believed, from now on also by the header that it was shown in. */
  private remember(header: string, cacheKey: string): Caller | undefined {
    const known = stillValid(this.known.get(cacheKey));
    if (known && header.length <= MAX_HEADER) this.byHeader.set(header, known, known.asked);
    return known;
  }

  private async judge(shown: {
    hash: Buffer;
    cacheKey: string;
    address: string;
    isAdminKey: boolean;
    proven: boolean;
  }): Promise<Verdict> {
    const { wrongKeys } = this.options;
    const { hash, cacheKey, address, isAdminKey, proven } = shown;
    const admitted = proven || (await wrongKeys.admit(address)) === 'in turn';
    const refused = this.refused.get(cacheKey);
    if (refused) return this.counted(refused, address);
    return this.turns.take(async () => {
      if (!admitted) await wrongKeys.admit(address); // others of this address may have been wrong meanwhile
      if (isAdminKey) return PLATFORM;
      const verdict =
        stillValid(this.known.get(cacheKey)) ?? this.refused.get(cacheKey) ?? this.look(hash, cacheKey);
      return this.counted(await verdict, address); // before the next takes its turn
    });
  }

  private async counted(verdict: Verdict, address: string): Promise<Verdict> {
    if ('refused' in verdict && verdict.refused === 'key_unknown') await this.options.wrongKeys.note(address);
    return verdict;
  }

  private async look(hash: Buffer, cacheKey: string): Promise<Verdict> {
    const { changes } = this;
    const asked = performance.now();
    const { rows } = await this.options.db.query<KeyRow>(
      `select k.id, k.tenant_id, k.scopes, k.expires_at, k.revoked_at,
              k.tenant_id is null or t.active as active, t.requests_per_second, t.events_per_second
       from api_key k left join tenant t on t.id = k.tenant_id
       where k.secret_hash = $1`,
      [hash],
    );
    const current = changes === this.changes;
    const refusal = refuse(rows[0]);
    if (refusal) {
      if (current) this.refused.set(cacheKey, refusal, asked);
      return refusal;
    }
    const row = rows[0]!;
    const caller = {
      keyId: row.id,
      tenantId: row.tenant_id,
      scopes: new Set(row.scopes),
      expiresAt: row.expires_at?.getTime() ?? null,
      asked,
      limits: row.tenant_id === null ? null : limitsOf(row, this.options.limits),
    };
    if (current) this.known.set(cacheKey, caller, asked);
    this.noteUse(row.id);
    return caller;
  }

  /** At most once per key and TTL; a failure costs the note and nothing else. */
  private noteUse(keyId: string): void {
    this.options.db
      .query('update api_key set last_used_at = now() where id = $1', [keyId])
      .catch(() => undefined);
  }
}

interface KnownCaller extends Caller {
  /** When the database was asked (performance.now()). */
  asked: number;
}

function stillValid(known: KnownCaller | undefined): KnownCaller | undefined {
  return known && (known.expiresAt === null || known.expiresAt > Date.now()) ? known : undefined;
}

interface KeyRow {
  id: string;
  tenant_id: string | null;
  scopes: Scope[];
  expires_at: Date | null;
  revoked_at: Date | null;
  active: boolean;
  requests_per_second: number | null;
  events_per_second: number | null;
}

const PLATFORM: Caller = {
  keyId: null,
  tenantId: null,
  scopes: new Set(SCOPES),
  expiresAt: null,
  limits: null,
};

function busy(): TidemarkError {
  return new TidemarkError('database_unavailable', 'the key could not be looked up in time', {
    retryAfterSeconds: 1,
  });
}

function refuse(row: KeyRow | undefined): Refusal | null {
  if (!row) return { refused: 'key_unknown', message: 'the key is not known' };
  if (row.revoked_at) return { refused: 'key_revoked', message: 'the key has been revoked' };
  if (row.expires_at && row.expires_at.getTime() <= Date.now()) {
    return { refused: 'key_expired', message: 'the key has expired' };
  }
  if (!row.active) return { refused: 'tenant_inactive', message: 'the tenant is inactive' };
  return null;
}

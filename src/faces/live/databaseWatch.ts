import type { Queryable } from '../../ground/db/queryable.ts';
import type { DatabaseFigures, Scope } from './overview.ts';
import { surveyScopes } from './surveyScopes.ts';

/** Scopes remembered at most. */
const CAPACITY = 1_000;

export interface KnownFigures {
  figures: DatabaseFigures;
  /** When the database was asked (Date.now()). */
  asOfMs: number;
}

/**
 * What the database has said of scopes, and when. One statement at a time, for all scopes that are asked for: nobody
 * who looks costs a statement of his own.
 */
export class DatabaseWatch {
  private readonly db: Queryable;
  private readonly known = new Map<Scope, KnownFigures>();
  private wanted = new Set<Scope>();
  /** The statement under way, and the one behind it. Neither rejects. */
  private asking: Promise<void> | null = null;
  private next: Promise<void> | null = null;
  private answered = true;

  constructor(db: Queryable) {
    this.db = db;
  }

  /** Whether it answered when it was last asked. */
  get available(): boolean {
    return this.answered;
  }

  of(scope: Scope): KnownFigures | undefined {
    return this.known.get(scope);
  }

  /**
   * Asks for these. While an answer is waited for, all that is wanted waits for the next one together. Resolves when it has
   * answered, or will not.
   */
  ask(scopes: Iterable<Scope>): Promise<void> {
    for (const scope of scopes) this.wanted.add(scope);
    if (this.asking === null) return this.askNow();
    this.next ??= this.asking.then(() => {
      this.next = null;
      return this.askNow();
    });
    return this.next;
  }

  /** Whether an answer is waited for. */
  get busy(): boolean {
    return this.asking !== null;
  }

  forget(scope: Scope): void {
    this.known.delete(scope);
  }

  private askNow(): Promise<void> {
    const asking = this.survey().finally(() => {
      if (this.asking === asking) this.asking = null;
    });
    this.asking = asking;
    return asking;
  }

  private async survey(): Promise<void> {
    const scopes = [...this.wanted];
    this.wanted = new Set();
    const asOfMs = Date.now();
    try {
      const found = await surveyScopes(this.db, scopes);
      this.answered = true;
      for (const [i, figures] of found.entries()) {
        const scope = scopes[i]!;
        this.known.delete(scope);
        this.known.set(scope, { figures, asOfMs });
      }
      for (const scope of this.known.keys()) {
        if (this.known.size <= CAPACITY) break;
        this.known.delete(scope);
      }
    } catch {
      this.answered = false; // the figures that are known grow older, which is told
    }
  }
}

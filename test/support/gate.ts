import pg from 'pg';
import { until } from './service.ts';

/** The advisory lock that is the gate. */
const GATE = 4_711;

/**
 * A gate in front of whoever has planned which chunks of events to read, and has not begun to read them: planning looks
 * at the constraints of each chunk, and evaluates what in them is immutable. On the postgres engine nobody comes to it.
 */
export class Gate {
  private readonly sql: pg.Pool;
  private readonly keeper: pg.Client;

  private constructor(sql: pg.Pool, keeper: pg.Client) {
    this.sql = sql;
    this.keeper = keeper;
  }

  /** @param url of a superuser, for a database without events. */
  static async build(sql: pg.Pool, url: string): Promise<Gate> {
    await sql.query(`
      create table gate (pattern text not null);
      create function past_the_gate() returns integer immutable security definer language plpgsql as $$
      begin
        if exists (select from public.gate where current_query() ~ pattern) then
          perform pg_advisory_xact_lock_shared(${GATE});
        end if;
        return 1;
      end $$;
      alter table event add constraint gate check (past_the_gate() = 1)`);
    const keeper = new pg.Client(url);
    await keeper.connect();
    return new Gate(sql, keeper);
  }

  /**
   * Closes it before the statements that a pattern matches, has one come to it, does something, and opens it.
   *
   * @returns what that statement has led to.
   */
  async hold<Result>(
    pattern: string,
    come: () => Promise<Result>,
    meanwhile: () => Promise<unknown>,
  ): Promise<Result> {
    await this.sql.query('insert into gate values ($1)', [pattern]);
    await this.keeper.query('select pg_advisory_lock($1)', [GATE]);
    try {
      const result = come();
      result.catch(() => undefined);
      await until(() => this.waited());
      await meanwhile();
      await this.open();
      return await result;
    } finally {
      await this.open();
    }
  }

  async end(): Promise<void> {
    await this.keeper.end();
  }

  private async open(): Promise<void> {
    await this.sql.query('delete from gate');
    await this.keeper.query('select pg_advisory_unlock_all()');
  }

  private async waited(): Promise<boolean> {
    const { rows } = await this.sql.query(
      `select from pg_locks where locktype = 'advisory' and objid = $1 and not granted
         and database = (select oid from pg_database where datname = current_database())`,
      [GATE],
    );
    return rows.length > 0;
  }
}

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import type { Engine } from './engine.ts';
import type { Queryable } from './queryable.ts';

/**
 * What the functions of the database do: one file each, those of one engine in a folder of its name
 * (docs/adr/0035-functions-are-files.md).
 */
export const FUNCTIONS = fileURLToPath(new URL('../../../migrations/functions', import.meta.url));

/** `-- revision 3, 0a1b2c3d4e5f`: how often the text below has changed, and the beginning of its hash. */
const FIRST_LINE = /^-- revision ([1-9]\d*), ([0-9a-f]{12})\n/;

export interface SqlFunction {
  name: string;
  /** Counted up by whoever changes the text. */
  revision: number;
  /** What the first line says that `hash` begins with: 12 hex digits. */
  digest: string;
  /** SHA-256 of the text below the first line, in hex. */
  hash: string;
  /** The statements: the function, and what it is granted to. */
  text: string;
}

/** Functions of a database beside those of this version. */
export interface FunctionState {
  /** Older in the database, or not there: `migrate` puts them in. */
  pending: SqlFunction[];
  /** Names of those that a newer version has put there: they stay, since they serve this one as well. */
  newer: string[];
}

/**
 * The functions of an engine, in the order of their names. Read synchronously: fifty small files take a millisecond
 * so, and five through the event loop. It is done where a process starts.
 *
 * @param dir the folder of those that both engines share.
 * @throws when a file has no revision, or there are two of the same name.
 */
export function readFunctions(engine: Engine, dir = FUNCTIONS): SqlFunction[] {
  const functions = [dir, join(dir, engine)]
    .flatMap((folder) => readdirSync(folder).map((file) => join(folder, file)))
    .filter((file) => file.endsWith('.sql'))
    .map((file) => parseFunction(file, readFileSync(file, 'utf8')))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const twice = functions.find(({ name }, i) => name === functions[i + 1]?.name);
  if (twice) throw new Error(`there are two files of the function ${twice.name} for the ${engine} engine`);
  return functions;
}

function parseFunction(file: string, content: string): SqlFunction {
  const lines = content.replaceAll('\r\n', '\n'); // a checkout on Windows
  const first = FIRST_LINE.exec(lines);
  if (!first) throw new Error(`${file} does not begin with a line like "-- revision 1, 0a1b2c3d4e5f"`);
  const text = lines.slice(first[0].length);
  return {
    name: basename(file, '.sql'),
    revision: Number(first[1]),
    digest: first[2]!,
    hash: createHash('sha256').update(text).digest('hex'),
    text,
  };
}

/**
 * What a database whose migrations are all there has of the functions of this version. A different text of the same
 * revision is pending: that is one being written, since a revision has one text once it has landed.
 */
export async function compareFunctions(db: Queryable, dir = FUNCTIONS): Promise<FunctionState> {
  const { rows } = await db.query<{
    engine: Engine;
    name: string | null;
    revision: number | null;
    hash: string | null;
  }>('select i.engine, f.name, f.revision, f.hash from installation i left join sql_function f on true');
  const there = new Map(rows.map((row) => [row.name, row]));
  const pending: SqlFunction[] = [];
  const newer: string[] = [];
  for (const file of readFunctions(rows[0]!.engine, dir)) {
    const applied = there.get(file.name);
    const revision = applied?.revision ?? 0;
    if (revision > file.revision) newer.push(file.name);
    else if (revision < file.revision || applied?.hash !== file.hash) pending.push(file);
  }
  return { pending, newer };
}

/**
 * Puts in the functions that are pending, and nothing where none is. In the transaction of `migrate`, after its
 * migrations, as the owner; `set search_path from current` in a file takes the schema of the service.
 *
 * @returns their names.
 * @throws with the name of the function that PostgreSQL refuses.
 */
export async function applyFunctions(client: pg.ClientBase, dir = FUNCTIONS): Promise<string[]> {
  const { pending } = await compareFunctions(client, dir);
  if (pending.length === 0) return [];
  await client.query(`
    set local role none;
    select set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
    set local role tidemark_owner`);
  for (const { name, text } of pending) {
    try {
      await client.query(text);
    } catch (error) {
      throw new Error(`the function ${name} cannot be put in: ${(error as Error).message}`, { cause: error });
    }
  }
  await client.query(
    `insert into sql_function (name, revision, hash)
     select * from unnest($1::text[], $2::integer[], $3::text[])
     on conflict (name) do update set
       revision = excluded.revision, hash = excluded.hash, applied_at = excluded.applied_at`,
    [pending.map((f) => f.name), pending.map((f) => f.revision), pending.map((f) => f.hash)],
  );
  return pending.map(({ name }) => name);
}

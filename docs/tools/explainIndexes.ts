import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { migrate } from '../../src/ground/db/migrate.ts';
import { withDatabase } from '../../test/support/databaseUrl.ts';
import { INDEX_QUERIES, type IndexQuery } from '../../test/support/indexQueries.ts';
import { removeRunFolder, runFolder } from '../../test/support/runFolder.ts';
import {
  fillIn,
  inContext,
  type Placeholders,
  seedForPlans,
  usedIndexes,
} from '../../test/support/seedForPlans.ts';
import { providePostgres, provideTimescale, type Server } from '../../test/support/servers.ts';

/*
 * npm run docs:plans: writes the plans of the queries that indexes are for into docs/data-model.md, from a database of
 * each engine with a million events.
 */

const PAGE = fileURLToPath(new URL('../data-model.md', import.meta.url));
const [BEGIN, END] = ['<!-- plans: made by npm run docs:plans -->', '<!-- end of plans -->'];
const EVENTS = 300_000;

type Engine = 'postgres' | 'timescale';
type Plans = Map<string, string>;

const folder = await runFolder();
try {
  const plans = {
    timescale: await plansOn('timescale', await provideTimescale(folder)),
    postgres: await plansOn('postgres', await providePostgres(folder)),
  };
  const page = await readFile(PAGE, 'utf8');
  const [before, after] = [page.split(BEGIN)[0]!, page.split(END)[1]!];
  await writeFile(PAGE, `${before}${BEGIN}\n\n${sections(plans)}\n${END}${after}`);
} finally {
  await removeRunFolder(folder);
}

async function plansOn(engine: Engine, server: Server | null): Promise<Plans> {
  if (!server) throw new Error(`there is no server for the ${engine} engine`);
  const name = `tidemark_plans_${process.pid}`;
  const admin = new pg.Client(server.url);
  await admin.connect();
  await admin.query(`create database ${name}`);
  const sql = new pg.Client(withDatabase(server.url, name));
  await sql.connect();
  try {
    await migrate(sql);
    const values = await seedForPlans(sql, EVENTS);
    const plans: Plans = new Map();
    for (const query of INDEX_QUERIES) {
      if (query.sql && (query.only ?? engine) === engine)
        plans.set(query.index, await explain(sql, query, values));
    }
    return plans;
  } finally {
    await sql.end();
    await admin.query(`drop database ${name} with (force)`);
    await admin.end();
    await server.stop();
  }
}

async function explain(
  sql: pg.Client,
  { index, sql: statement, as }: IndexQuery,
  values: Placeholders,
): Promise<string> {
  return inContext(sql, as, async () => {
    const used = await usedIndexes(sql, fillIn(statement!, values));
    if (!used.includes(index)) console.warn(`${index} is not used, but: ${used}`);
    const options = 'analyze, costs off, timing off, summary off, buffers off';
    const { rows } = await sql.query(`explain (${options}) ${fillIn(statement!, values)}`);
    const lines = rows.map((row) => String(row['QUERY PLAN']));
    // Chunks that are never looked at, and what every plan has.
    return lines
      .filter((line) => !/^\s*(Planning|Execution|Buffers|Index Searches|Heap Fetches|Memory:)/.test(line))
      .map((line) =>
        line
          .replace(/_hyper_\d+_\d+_chunk/g, '_hyper_n_chunk')
          .replace(/ \(actual rows=([\d.]+) loops=(\d+)\)/, ' ($1 × $2)')
          .replace(/(\d)\.00 ×/, '$1 ×'),
      )
      .join('\n');
  });
}

function sections(plans: Record<Engine, Plans>): string {
  const rows = INDEX_QUERIES.map(
    ({ index, serves, only }) => `| \`${index}\`${only ? ` (${only})` : ''} | ${serves} |`,
  );
  const details = INDEX_QUERIES.filter(({ sql }) => sql).map((query) => {
    const { index, as, sql } = query;
    const [timescale, postgres] = [plans.timescale.get(index), plans.postgres.get(index)];
    const same = timescale === postgres;
    const engines: [string, string | undefined][] = same
      ? [['both engines', timescale]]
      : [
          ['timescale', timescale],
          ['postgres', postgres],
        ];
    const blocks = engines.filter(([, plan]) => plan).map(([name, plan]) => `-- ${name}\n${plan}`);
    return `#### ${index}\n\n\`\`\`sql\n${as === 'read' ? '-- as tidemark_read, for tenant-1\n' : ''}${sql}\n\`\`\`\n\n\`\`\`text\n${blocks.join('\n\n')}\n\`\`\`\n`;
  });
  return [
    '| index | what it serves |\n|---|---|',
    ...rows,
    '',
    `### Plans\n\nOf a database with ${EVENTS.toLocaleString('en')} events of 200 tenants over four days (\`npm run docs:plans\`); behind each node: rows × loops. \`:day\` and the like are values.\n`,
    '<details>\n<summary>The plan of every query</summary>\n',
    ...details,
    '</details>\n',
  ].join('\n');
}

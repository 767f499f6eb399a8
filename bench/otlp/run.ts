import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { HttpConnection } from '../load/httpConnection.ts';
import { checkStored } from '../load/stored.ts';
import { startTidemark } from '../services/tidemark.ts';
import { buildService } from '../support/buildService.ts';
import { onEachEngine } from '../support/engines.ts';
import { interruption } from '../support/interruption.ts';
import { machine } from '../support/machine.ts';
import { median } from '../support/percentiles.ts';
import { keepResults } from '../support/results.ts';
import { runToEnd } from '../support/runToEnd.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import { figure, table } from '../support/table.ts';
import { inWorkplace } from '../support/workplace.ts';
import { ENCODINGS, type Encoding, postOf } from './posts.ts';

/*
 * What spans cost beside native events: the same calls in batches, as native events and by OTLP in both encodings, by turns.
 * README.md says how to run and read it.
 */

const EVENTS = 500;
const CONNECTIONS = 4;
const WARMUP_MS = 2_000;

const { values } = parseArgs({
  options: {
    engine: { type: 'string', default: 'both' },
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '3' },
    'no-build': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
const engines = (['postgres', 'timescale'] as const).filter((name) => [name, 'both'].includes(values.engine));
const isWrong = !(seconds > 0) || !(Number.isInteger(rounds) && rounds > 0) || engines.length === 0;
if (values.help || isWrong) {
  console.error(
    'npm run bench:otlp -- [--engine postgres|timescale|both] [--seconds N] [--rounds N] [--no-build]',
  );
  process.exit(values.help ? 0 : 2);
}

/** @returns events or spans a second that were durable when answered. */
async function measure(server: BenchServer, encoding: Encoding, folder: string): Promise<number> {
  const database = await server.createDatabase('migrated');
  try {
    const service = await startTidemark({ url: database.url, folder });
    const connections = await Promise.all(
      Array.from({ length: CONNECTIONS }, () => HttpConnection.open('127.0.0.1', service.port)),
    );
    let [sent, answered] = [0, 0];
    let over = false;
    const problems: string[] = [];
    const driven = connections.map((connection, seed) => {
      const post = postOf(encoding, { port: service.port, key: service.key, events: EVENTS, seed });
      return new Promise<void>((resolve) => {
        const send = () => {
          if (over) return resolve();
          post.renew();
          sent++;
          connection.send(post.buffer, (status, body) => {
            // A partial success is a 200 as well: it has a body.
            const isWhole =
              status === 200 &&
              (encoding !== 'protobuf' || body.length === 0) &&
              !/partial/.test(String(body));
            if (!isWhole) {
              problems.push(`${status} ${body.toString('utf8', 0, 300)}`);
              return resolve();
            }
            answered++;
            send();
          });
        };
        send();
      });
    });
    await sleep(WARMUP_MS, undefined, { signal: interruption });
    const [before, from] = [answered, performance.now()];
    await sleep(seconds * 1_000, undefined, { signal: interruption });
    const rate = ((answered - before) * EVENTS) / ((performance.now() - from) / 1_000);
    over = true;
    await Promise.all(driven);
    for (const connection of connections) connection.close();
    problems.push(...(await service.stop()));
    problems.push(...(await withClient(database.url, (client) => checkStored(client, sent * EVENTS))));
    if (problems.length > 0) throw new Error(problems.join('\n'));
    return rate;
  } finally {
    await database.drop();
  }
}

async function main(): Promise<void> {
  const started = new Date();
  if (!values['no-build']) buildService();
  const results: object[] = [];
  await inWorkplace((folder) =>
    onEachEngine([...engines], folder, async (server) => {
      const rates = new Map<Encoding, number[]>(ENCODINGS.map((encoding) => [encoding, []]));
      for (let round = 0; round < rounds; round++) {
        for (const encoding of ENCODINGS) {
          interruption.throwIfAborted();
          rates.get(encoding)!.push(await measure(server, encoding, folder));
        }
      }
      const native = median(rates.get('native')!);
      const rows = [...rates].map(([encoding, all]) => {
        results.push({ engine: server.engine, encoding, rates: all });
        const name =
          encoding === 'native' ? 'native events' : `spans, ${encoding === 'json' ? 'JSON' : encoding}`;
        return [name, figure(median(all)), figure(median(all) / native)];
      });
      console.log(
        `\n## ${server.engine}\n\n${table([`batches of ${EVENTS}`, 'a second', 'to native'], rows)}\n`,
      );
    }),
  );
  console.log(Object.entries(machine()).flat().join(' '));
  console.log(await keepResults('otlp', started, { seconds, rounds, results }));
}

runToEnd(main);

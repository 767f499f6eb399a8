import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { HttpConnection } from '../load/httpConnection.ts';
import { RequestTemplate } from '../load/requestTemplate.ts';
import { checkStored } from '../load/stored.ts';
import { startTidemark, type Tidemark } from '../services/tidemark.ts';
import { interruption } from '../support/interruption.ts';
import { median } from '../support/percentiles.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import { figure, table } from '../support/table.ts';

const EVENTS = 500;
const CONNECTIONS = 4;
const WARMUP_MS = 2_000;
/** How many messages a stream may get in a second, whatever is sent meanwhile. */
const MOST_A_SECOND = 2;

export interface StreamsPlan {
  streams: number;
  rounds: number;
  /** Length of one measurement. */
  seconds: number;
}

/** A stream that is read, and the messages that have come by it. */
interface Reader {
  socket: Socket;
  messages: number;
}

/** Half of them look at the tenant, the others at all tenants together. */
async function openStreams({ port, key, adminKey }: Tidemark, streams: number): Promise<Reader[]> {
  return Promise.all(
    Array.from({ length: streams }, async (_, i) => {
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      const reader: Reader = { socket, messages: 0 };
      socket.on('data', (chunk) => {
        for (let at = chunk.indexOf('\ndata: '); at >= 0; at = chunk.indexOf('\ndata: ', at + 1))
          reader.messages++;
      });
      const shown = i % 2 === 0 ? key : adminKey;
      socket.write(
        `GET /v1/live/stream HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${shown}\r\n\r\n`,
      );
      return reader;
    }),
  );
}

/** Of a service under load, by turns. */
export interface Streams {
  /** Events a second that were durable when answered, in each round. */
  without: number[];
  watched: number[];
  /** Messages a second by each stream. */
  least: number;
  most: number;
}

/** What those who look cost those who send: ingest without live streams and with many, by turns, in one service. */
export async function measureStreams(
  server: BenchServer,
  folder: string,
  { streams, rounds, seconds }: StreamsPlan,
): Promise<Streams> {
  const database = await server.createDatabase('migrated');
  try {
    const env = { LIVE_STREAMS: String(streams), LIVE_STREAMS_PER_TENANT: String(streams) };
    const service = await startTidemark({ url: database.url, folder, env });
    const host = `127.0.0.1:${service.port}`;
    const headers = { Authorization: `Bearer ${service.key}` };
    const connections = await Promise.all(
      Array.from({ length: CONNECTIONS }, () => HttpConnection.open('127.0.0.1', service.port)),
    );
    const problems: string[] = [];
    let [sent, answered, over] = [0, 0, false];
    const driven = connections.map((connection, seed) => {
      const post = new RequestTemplate({ host, path: '/v1/events', headers, events: EVENTS, seed });
      return new Promise<void>((resolve) => {
        const send = () => {
          if (over) return resolve();
          post.renew();
          sent++;
          connection.send(post.buffer, (status, body) => {
            if (status !== 200) {
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
    const rate = async () => {
      await sleep(WARMUP_MS, undefined, { signal: interruption });
      const [before, from] = [answered, performance.now()];
      await sleep(seconds * 1_000, undefined, { signal: interruption });
      return ((answered - before) * EVENTS) / ((performance.now() - from) / 1_000);
    };
    const measured: Streams = { without: [], watched: [], least: Number.POSITIVE_INFINITY, most: 0 };
    for (let round = 0; round < rounds; round++) {
      measured.without.push(await rate());
      const readers = await openStreams(service, streams);
      const from = performance.now();
      measured.watched.push(await rate());
      const elapsed = (performance.now() - from) / 1_000;
      for (const { socket, messages } of readers) {
        // Its first message is what there was.
        const perSecond = (messages - 1) / elapsed;
        measured.least = Math.min(measured.least, perSecond);
        measured.most = Math.max(measured.most, perSecond);
        socket.destroy();
      }
    }
    over = true;
    await Promise.all(driven);
    for (const connection of connections) connection.close();
    if (measured.most > MOST_A_SECOND) problems.push(`a stream got ${measured.most} messages a second`);
    problems.push(...(await service.stop()));
    problems.push(...(await withClient(database.url, (client) => checkStored(client, sent * EVENTS))));
    if (problems.length > 0) throw new Error(problems.join('\n'));
    return measured;
  } finally {
    await database.drop();
  }
}

/** Ratios are medians over the rounds, each beside its neighbour. */
export function streamsTable(streams: number, { without, watched, least, most }: Streams): string {
  const ratios = watched.map((rate, round) => rate / without[round]!);
  const rows = [
    ['without', figure(median(without)), '', ''],
    [
      `${streams} streams`,
      figure(median(watched)),
      figure(median(ratios)),
      `${least.toFixed(2)}–${most.toFixed(2)}`,
    ],
  ];
  return table([`batches of ${EVENTS}`, 'events/s', 'to without', 'messages/s of a stream'], rows);
}

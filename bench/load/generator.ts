import { setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { percentilesOf } from '../support/percentiles.ts';
import { HttpConnection } from './httpConnection.ts';
import { RequestTemplate, type TemplateOptions } from './requestTemplate.ts';
import { type Progress, Series, type SeriesOptions } from './series.ts';
import type { VirtualTime } from './virtualTime.ts';
import { seededRandom } from './workload.ts';

/*
 * The load generator, a process of its own: closed loop, so each connection sends its next request when the last one
 * has been answered, unless it keeps a pace. Started by `generate`, which hands it one Load and gets 'begin', 'end' and the report; of
 * a series also how far it is, again and again, and says how far it may go.
 */

export interface Load {
  host: string;
  port: number;
  headers: Record<string, string>;
  connections: number;
  /** Load that is not counted, before the clock starts, in ms. */
  warmupMs: number;
  durationMs: number;
  /** Posts of so many fresh events each, or GETs of these paths in random order, each with its headers. */
  post?: Pick<TemplateOptions, 'path' | 'events' | 'tenants' | 'customers' | 'members'>;
  get?: { paths: string[]; headersOf?: Record<string, string>[] };
  /** Posts these events and ends, in place of after `durationMs`. All of it is measured. */
  series?: SeriesOptions;
  /** Ms between two requests of a connection, in place of as soon as the last one is answered. */
  everyMs?: number;
  /** Ms that a connection waits after an answer of 429 or 503, which is then counted as a refusal. */
  patienceMs?: number;
  /** Gives way to every other process, much as though the load came from another machine. */
  givesWay?: boolean;
  /** The clock that posted events are stamped with, where it is not the real one. */
  time?: VirtualTime | undefined;
}

export interface LoadReport {
  /** When the measured time began, ms since the epoch. */
  began: number;
  /** Of the measured time, in seconds. */
  seconds: number;
  requests: number;
  /** Answered within the measured time, in ms. */
  latency: { p50: number; p99: number };
  /** Of the whole run, warm-up and tail included. */
  accepted: number;
  duplicates: number;
  /** Answers that were not 2xx, and connections that broke, in the whole run, and what the first of them said. */
  failures: number;
  firstFailure: string | null;
  /** Answers of 429 and 503 in the whole run, where the load has patience with them. */
  refusals: number;
  /** Processor time of this process over the measured time, in cores. */
  cores: number;
}

export type GeneratorMessage = 'begin' | 'end' | { progress: Progress } | LoadReport;
/** What a generator is told while it works: the time, ms since the epoch, up to which it may post events. */
export interface Leave {
  until: number;
}

/** How long the last answers may take, in ms. */
const TAIL_MS = 30_000;
/** Between two messages of how far a series is, in ms, and before a connection that may not go on looks again. */
const PROGRESS_MS = 100;
const LEAVE_MS = 5;
/** Requests that the connection of a series takes in turn, so that its customers are many. */
const TEMPLATES = 8;

async function run(load: Load, tell: (message: GeneratorMessage) => void): Promise<void> {
  if (load.givesWay) setPriority(19);
  const connections: HttpConnection[] = [];
  for (let i = 0; i < load.connections; i++) {
    connections.push(await HttpConnection.open(load.host, load.port));
  }
  const tally = { accepted: 0, duplicates: 0, failures: 0, refusals: 0, firstFailure: null as string | null };
  const latencies: number[] = [];
  let phase: 'warmup' | 'measured' | 'tail' = 'warmup';

  const series = load.series && new Series(load.series, load.post!.events);
  if (series) {
    process.on('message', (leave: Leave) => {
      series.until = leave.until;
    });
  }

  const drive = (connection: HttpConnection, next: () => Buffer | 'wait' | 'end', delayMs: number) =>
    new Promise<void>((resolve) => {
      let due = performance.now() + delayMs;
      const send = () => {
        // At a pace, a request counts from when it was due: one that is held up by the last one has waited, too.
        const sent = load.everyMs === undefined ? performance.now() : due;
        const request = next();
        if (request === 'end') return resolve();
        if (request === 'wait') return void setTimeout(send, LEAVE_MS);
        connection.send(request, (status, body) => {
          const refused = load.patienceMs !== undefined && (status === 429 || status === 503);
          if (phase === 'measured' && !refused) latencies.push(performance.now() - sent);
          if (status >= 200 && status < 300) {
            if (load.post) count(tally, body);
          } else if (refused) tally.refusals++;
          else {
            tally.failures++;
            tally.firstFailure ??=
              status === 0 ? 'the connection broke' : `${status} ${body.toString('utf8', 0, 300)}`;
          }
          if (phase === 'tail' || status === 0) return resolve();
          due += load.everyMs ?? 0;
          const wait = refused ? load.patienceMs! : load.everyMs === undefined ? 0 : due - performance.now();
          if (wait > 0) setTimeout(send, wait);
          else send();
        });
      };
      if (delayMs > 0) setTimeout(send, delayMs);
      else send();
    });

  const startDriving = () =>
    Promise.all(
      connections.map((connection, i) =>
        drive(connection, requestsOf(load, i, series), ((load.everyMs ?? 0) * i) / load.connections),
      ),
    );
  let driven = series ? undefined : startDriving();
  if (!series) await sleep(load.warmupMs);
  tell('begin');
  phase = 'measured';
  const began = Date.now();
  const from = performance.now();
  const cpuFrom = process.cpuUsage();
  if (series) {
    driven = startDriving();
    const telling = setInterval(() => tell({ progress: series.progress() }), PROGRESS_MS);
    await driven;
    clearInterval(telling);
    tell({ progress: series.progress() });
  } else await sleep(load.durationMs);
  const seconds = (performance.now() - from) / 1_000;
  phase = 'tail';
  const cpu = process.cpuUsage(cpuFrom);
  tell('end');
  const complete = await Promise.race([driven!.then(() => true), sleep(TAIL_MS, false, { ref: false })]);
  if (!complete) {
    tally.failures++;
    tally.firstFailure ??= `no answer within ${TAIL_MS} ms`;
  }
  for (const connection of connections) connection.close();
  tell({
    began,
    seconds,
    requests: latencies.length,
    latency: percentilesOf(latencies),
    ...tally,
    cores: (cpu.user + cpu.system) / 1_000_000 / seconds,
  });
}

/** The requests of one connection. */
function requestsOf(load: Load, connection: number, series?: Series): () => Buffer | 'wait' | 'end' {
  const host = `${load.host}:${load.port}`;
  const seed = connection + 1;
  if (load.post) {
    const { post, headers, time } = load;
    const make = (turn: number) =>
      new RequestTemplate({ ...post, host, headers, seed: seed + turn * load.connections, time });
    if (series) {
      const templates = Array.from({ length: TEMPLATES }, (_, turn) => make(turn));
      return () => series.next(connection, templates);
    }
    const template = make(0);
    return () => {
      template.renew();
      return template.buffer;
    };
  }
  const { paths, headersOf } = load.get!;
  const requests = paths.map((path, i) => {
    const lines = Object.entries({ Host: host, ...load.headers, ...headersOf?.[i] }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    return Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
  });
  const random = seededRandom(seed);
  return () => requests[Math.floor(random() * requests.length)]!;
}

function count(tally: { accepted: number; duplicates: number }, body: Buffer): void {
  const answer = JSON.parse(body.toString()) as { accepted: number; duplicates: number };
  tally.accepted += answer.accepted;
  tally.duplicates += answer.duplicates;
}

process.once('message', (load: Load) => {
  run(load, (message) => process.send!(message)).then(
    () => process.disconnect(),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.once('disconnect', () => process.exit());

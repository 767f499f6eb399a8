import { isUtf8 } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { RedisStreamConfig } from '../../ground/config/sources.ts';
import { Redis, ReplyError } from '../../ground/redisClient.ts';
import type { Rejection, Source, SourceEntry, SourceStatus } from './source.ts';

/** Longest wait for new entries, and so for an orderly stop, in ms. */
const BLOCK_MS = 1_000;
/** Longest wait for any other answer, in ms. */
const TIMEOUT_MS = 3_000;
/** Entries asked for before it is known how large they are. */
const FIRST_COUNT = 16;
/** Faults told in a dead letter; more say nothing new. */
const MAX_FAULTS = 100;
/** Fields of ours in dead letters. An entry that is put back may keep them. */
const OURS = 'tidemark-';
/** Before the attributes of a CloudEvent in binary mode, as in HTTP. */
const CE = 'ce-';

export interface RedisStreamOptions extends RedisStreamConfig {
  /** Bytes of one read, as far as the sizes of those before foretell them. */
  batchBytes: number;
}

export interface RedisStreamEntry extends SourceEntry {
  /** Names and values, in turn, as they stand in the stream. */
  readonly fields: readonly Buffer[];
}

type RawEntry = [id: Buffer, fields: Buffer[] | null];

/**
 * Removes consumers that nobody uses any more. Atomic, because the entries that are pending for a consumer are lost to
 * the group when it is removed.
 */
const REMOVE_CONSUMERS = `
local removed = 0
for _, reply in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #reply, 2 do consumer[reply[i]] = reply[i + 1] end
  local chosen = consumer.name == ARGV[2]
  if ARGV[2] == '' then
    chosen = consumer.idle > tonumber(ARGV[3]) and string.match(consumer.name, ':%d+:%x%x%x%x%x%x%x%x$')
  end
  if chosen and consumer.pending == 0 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    removed = removed + 1
  end
end
return removed`;

/**
 * A Redis stream, read through a consumer group that all instances share. Besides the group nothing is kept in it, and
 * nothing is trimmed or deleted: the stream belongs to whoever runs it.
 *
 * A read is one of three, in this order:
 * - own entries again, after any failure: an answer that was lost has delivered entries that nobody here has seen;
 * - entries that have been with a consumer for too long, every now and then (XAUTOCLAIM): its process is dead, or slow,
 *   in which case they are stored twice and counted once;
 * - new ones, for which Redis is waited for on a connection of its own.
 */
export class RedisStreamSource implements Source<RedisStreamEntry> {
  readonly name: string;
  private readonly options: RedisStreamOptions;
  private readonly commands: Redis;
  private readonly blocking: Redis;
  private readonly consumer = `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`;
  /** Whether the group was there at the last look. */
  private grouped = false;
  /** Up to where own entries have been looked through after a failure; null: there is no need to. */
  private reviewedTo: string | null = null;
  private claimCursor = '0-0';
  /** By performance.now(), ms. */
  private nextClaim = 0;
  private count: number;
  private lastError: Error | undefined;

  constructor(options: RedisStreamOptions) {
    this.options = options;
    this.name = options.stream;
    this.count = Math.min(FIRST_COUNT, options.batchEntries);
    this.commands = this.connect(TIMEOUT_MS);
    this.blocking = this.connect(BLOCK_MS + TIMEOUT_MS);
  }

  async read(): Promise<RedisStreamEntry[]> {
    try {
      this.requireReady();
      if (!this.grouped) await this.createGroup();
      const entries = await this.readOnce();
      this.learn(entries);
      return entries;
    } catch (error) {
      this.reviewedTo = '0-0';
      if (error instanceof ReplyError && /^(NOGROUP|UNBLOCKED)/.test((error as Error).message)) {
        this.grouped = false; // the stream was removed, or is another one now
        return [];
      }
      this.count = Math.max(1, this.count >> 1); // an answer that is too large for its time would be so again
      throw error;
    }
  }

  async acknowledge(entries: RedisStreamEntry[]): Promise<void> {
    if (entries.length === 0) return;
    await this.ask(() => this.acknowledgeIds(entries.map(({ id }) => id)));
  }

  async reject(entry: RedisStreamEntry, reason: Rejection): Promise<void> {
    const { deadLetterStream } = this.options;
    const [originStream, originId] = JSON.parse(entry.origin) as [string, string];
    const notes: Record<string, string> = {
      reason: reason.code,
      message: reason.message,
      faults: JSON.stringify(reason.faults?.slice(0, MAX_FAULTS) ?? []),
      stream: originStream,
      id: originId,
      consumer: this.consumer,
      time: new Date().toISOString(),
    };
    const fields: (Buffer | string)[] = [];
    for (let i = 0; i < entry.fields.length; i += 2) {
      const [name, value] = [entry.fields[i]!, entry.fields[i + 1]!];
      if (!name.toString('latin1').startsWith(OURS)) fields.push(name, value);
    }
    for (const [name, value] of Object.entries(notes)) fields.push(OURS + name, value);
    // 1. Where it is lost, or its answer, the entry stays pending and may become two dead letters.
    await this.ask(() => this.commands.xadd(deadLetterStream, '*', ...fields));
    // 2. Where it is lost, likewise.
    await this.ask(() => this.acknowledgeIds([entry.id]));
  }

  async status(): Promise<SourceStatus> {
    const { stream, group } = this.options;
    const groups = (await this.ask(() => this.commands.xinfo('GROUPS', stream))) as unknown[][];
    for (const reply of groups) {
      const info = new Map<unknown, unknown>();
      for (let i = 0; i < reply.length; i += 2) info.set(reply[i], reply[i + 1]);
      if (info.get('name') !== group) continue;
      const lag = info.get('lag'); // Redis 7; null there while it would have to count
      return { pending: Number(info.get('pending')), lag: typeof lag === 'number' ? lag : null };
    }
    return { pending: 0, lag: null };
  }

  async close(): Promise<void> {
    if (this.commands.status === 'ready') await this.removeConsumers(this.consumer).catch(() => undefined);
    this.commands.disconnect();
    this.blocking.disconnect();
  }

  private connect(commandTimeout: number): Redis {
    const redis = new Redis(this.options.url, {
      protocol: 2,
      // Nothing is queued or repeated behind our back: what failed is seen, and done again where it makes sense.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      commandTimeout,
      connectTimeout: TIMEOUT_MS,
      disconnectTimeout: 1_000,
      retryStrategy: (attempts) => Math.min(attempts * 100, 2_000) * (0.5 + Math.random() / 2),
    });
    redis.on('error', (error) => {
      this.lastError = error;
    });
    return redis;
  }

  private requireReady(): void {
    if (this.commands.status === 'ready' && this.blocking.status === 'ready') return;
    throw new Error('not connected to Redis', { cause: this.lastError });
  }

  /** Asks Redis; a connection that does not answer in time, or leads to a replica, is given up for a new one. */
  private async ask<Answer>(question: () => Promise<Answer>, redis = this.commands): Promise<Answer> {
    try {
      return await question();
    } catch (error) {
      const { message } = error as Error;
      const useless = error instanceof ReplyError ? message.startsWith('READONLY') : true;
      if (useless && redis.status === 'ready') redis.disconnect(true);
      throw error;
    }
  }

  private async createGroup(): Promise<void> {
    const { stream, group } = this.options;
    await this.ask(() => this.commands.xgroup('CREATE', stream, group, '0', 'MKSTREAM')).catch((error) => {
      if (!(error as Error).message.startsWith('BUSYGROUP')) throw error;
    });
    this.grouped = true;
  }

  private async readOnce(): Promise<RedisStreamEntry[]> {
    if (this.reviewedTo !== null) return this.reviewOwn(this.reviewedTo);
    while (performance.now() >= this.nextClaim) {
      const claimed = await this.claim();
      if (claimed.length > 0) return claimed;
    }
    return this.readNew();
  }

  private async reviewOwn(after: string): Promise<RedisStreamEntry[]> {
    const { stream, group } = this.options;
    const reply = await this.ask(() =>
      this.commands.xreadgroupBuffer(
        'GROUP',
        group,
        this.consumer,
        'COUNT',
        this.count,
        'STREAMS',
        stream,
        after,
      ),
    );
    const raw = entriesOf(reply);
    this.reviewedTo = raw.length > 0 ? raw.at(-1)![0].toString() : null;
    return this.taken(raw, true);
  }

  private async claim(): Promise<RedisStreamEntry[]> {
    const { stream, group, claimAfterMs } = this.options;
    const [next, raw] = (await this.ask(() =>
      this.commands.callBuffer(
        'XAUTOCLAIM',
        stream,
        group,
        this.consumer,
        claimAfterMs,
        this.claimCursor,
        'COUNT',
        this.count,
      ),
    )) as [Buffer, RawEntry[]];
    this.claimCursor = next.toString();
    if (this.claimCursor === '0-0') {
      this.nextClaim = performance.now() + Math.min(Math.max(claimAfterMs / 4, 100), 10_000);
      await this.removeConsumers('').catch(() => undefined); // tidiness: nothing depends on it
    }
    return this.taken(raw, true);
  }

  private async readNew(): Promise<RedisStreamEntry[]> {
    const { stream, group } = this.options;
    const reply = await this.ask(
      () =>
        this.blocking.xreadgroupBuffer(
          'GROUP',
          group,
          this.consumer,
          'COUNT',
          this.count,
          'BLOCK',
          BLOCK_MS,
          'STREAMS',
          stream,
          '>',
        ),
      this.blocking,
    );
    return this.taken(entriesOf(reply), false);
  }

  /** What has been deleted from the stream while it was pending has no fields; there is nothing left to count. */
  private async taken(raw: (RawEntry | null)[], redelivered: boolean): Promise<RedisStreamEntry[]> {
    const entries: RedisStreamEntry[] = [];
    const deleted: string[] = [];
    for (const entry of raw) {
      if (entry === null) continue; // Redis 6.2
      const [id, fields] = entry;
      if (fields === null) deleted.push(id.toString());
      else entries.push(readEntry(this.options.stream, id.toString(), fields, redelivered));
    }
    if (deleted.length > 0) await this.ask(() => this.acknowledgeIds(deleted));
    return entries;
  }

  private acknowledgeIds(ids: string[]): Promise<number> {
    return this.commands.xack(this.options.stream, this.options.group, ...ids);
  }

  /** @param consumer which one; empty: those that have not been heard of for long. */
  private removeConsumers(consumer: string): Promise<unknown> {
    const { stream, group, claimAfterMs } = this.options;
    const idleMs = Math.max(10 * claimAfterMs, 60_000);
    return this.ask(() => this.commands.eval(REMOVE_CONSUMERS, 1, stream, group, consumer, idleMs));
  }

  /** The next read is as large as fits into `batchBytes`, and at most twice as large as the last one. */
  private learn(entries: RedisStreamEntry[]): void {
    if (entries.length === 0) return;
    const bytes = entries.reduce((sum, { body }) => sum + body.length, 0);
    const fitting = Math.floor((this.options.batchBytes * entries.length) / Math.max(bytes, 1));
    this.count = Math.max(1, Math.min(fitting, 2 * this.count, this.options.batchEntries));
  }
}

function entriesOf(reply: unknown): RawEntry[] {
  return (reply as [Buffer, RawEntry[]][] | null)?.[0]?.[1] ?? [];
}

const KNOWN = ['data', 'type', 'tenant', 'idempotencyKey', `${OURS}stream`, `${OURS}id`] as const;
type Known = (typeof KNOWN)[number];
const isKnown = (name: string): name is Known => (KNOWN as readonly string[]).includes(name);

function readEntry(stream: string, id: string, fields: Buffer[], redelivered: boolean): RedisStreamEntry {
  const known: Partial<Record<Known, Buffer>> = {};
  const attributes = Object.create(null) as Record<string, string>;
  let fault: Rejection | undefined;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!.toString();
    const value = fields[i + 1]!;
    const attribute = name.startsWith(CE) ? name.slice(CE.length) : null;
    if (attribute === null && !isKnown(name)) continue;
    if (attribute === null ? (name as Known) in known : attribute in attributes) {
      fault = { code: 'invalid_request', message: `the entry has the field ${name} twice` };
    }
    if (name !== 'data' && !isUtf8(value)) {
      fault = { code: 'invalid_encoding', message: `the field ${name} is not valid UTF-8` };
    }
    if (attribute === null) known[name as Known] = value;
    else attributes[attribute] = value.toString();
  }
  if (!known.data && !('specversion' in attributes)) {
    fault = { code: 'invalid_request', message: 'the entry has no field data' };
  }
  const text = (name: Known) => known[name]?.toString() || null;
  // A dead letter that was put back is still the entry that it was.
  const was = text(`${OURS}id`) ?? id;
  return {
    id,
    origin: JSON.stringify([text(`${OURS}stream`) ?? stream, was]),
    addedMs: /^\d+-\d+$/.test(was) ? Number.parseInt(was, 10) : null,
    body: known.data ?? Buffer.alloc(0),
    type: text('type'),
    tenantId: text('tenant'),
    idempotencyKey: text('idempotencyKey'),
    attributes: 'specversion' in attributes ? attributes : null,
    redelivered,
    fault,
    fields,
  };
}

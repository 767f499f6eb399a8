import { randomUUID } from 'node:crypto';
import { anEvent, below, type Event } from './anEvent.ts';
import { describe, differences } from './compare.ts';
import {
  type Counted,
  countedEvents,
  countedLive,
  countedSummaries,
  countedUsage,
  countedWindows,
  type LiveItem,
} from './counted.ts';
import { Journal } from './journal.ts';
import { Ledger, type Posted } from './ledger.ts';
import { addEvent, type ByWindow } from './sums.ts';

/*
 * What the scenarios call. What is sent, and what is answered to it, goes into the journal, from which run.ts knows
 * what must be counted. A virtual user with a customer of its own also checks what it reads, while others write.
 */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** How far back late events go, in ms. All of them lie in windows that have closed. */
const LATE_FROM_MS = 2 * 60_000;
const LATE_TO_MS = 25 * HOUR_MS;

/** The parts of Artillery's objects that are used here. */
export interface Request {
  body?: unknown;
  headers?: Record<string, string>;
}
export interface Response {
  statusCode: number;
  body: string;
}
export interface Context {
  vars: {
    /** Of the scenario: events per batch, among how many customers the users are spread, and the rate. */
    batch?: number;
    customers?: number;
    eventsPerSecond?: number;
    /** Of a virtual user. */
    customer?: string;
    from?: string;
    state?: User;
  };
}
export interface Emitter {
  emit(type: 'counter' | 'histogram', name: string, value: number): void;
}

/** What a virtual user remembers. */
interface User {
  ledger: Ledger;
  /** What it sent first, and last. */
  first?: Sent;
  last?: Sent;
  /** What it sends twice at a time, until the second has gone. */
  twin?: Sent | undefined;
  /** When it last began to read, ms. */
  readAt?: number;
  /** Requests with events under way, by their id. */
  underWay: Map<string, Posted>;
}
interface Sent {
  group: string;
  events: Event[];
}

const REQUEST_ID = 'x-request-id';
let journal: Journal | undefined;

/** A step: gives the virtual user a customer of its own, of whom it knows everything. */
export async function ownCustomer({ vars }: Context): Promise<void> {
  vars.customer = `${runName()}-${randomUUID().slice(0, 13)}`;
  vars.from = new Date(Math.floor((Date.now() - LATE_TO_MS) / DAY_MS) * DAY_MS).toISOString();
}

export async function oneEvent(request: Request, context: Context): Promise<void> {
  sendNew(request, context, 1);
}

export async function aBatch(request: Request, context: Context): Promise<void> {
  sendNew(request, context, batchOf(context));
}

/** The events of the request before, as a client sends them that has not got its answer. */
export async function theSameAgain(request: Request, context: Context): Promise<void> {
  const last = lastOf(context);
  send(request, context, last.events, [], last.group);
}

/** The same ids with other timestamps and tokens: what was stored first stays. */
export async function theSameWithOtherTimes(request: Request, context: Context): Promise<void> {
  const { events, group } = lastOf(context);
  const others = events.map((event) => ({
    ...anEvent(event.customerId, Date.parse(event.timestamp) - below(HOUR_MS)),
    eventId: event.eventId,
  }));
  send(request, context, others, [], group);
}

/** Half of the batch before, and as many events that are new. */
export async function halfKnown(request: Request, context: Context): Promise<void> {
  const { events, group } = lastOf(context);
  const known = events.slice(0, events.length / 2);
  const fresh = newEvents(context, batchOf(context) - known.length);
  const mixed = [...known, ...fresh].sort((a, b) => (a.eventId < b.eventId ? -1 : 1));
  send(request, context, mixed, fresh, group);
}

/** Each event is in the body twice. */
export async function eachTwice(request: Request, context: Context): Promise<void> {
  const fresh = newEvents(context, batchOf(context) / 2);
  send(request, context, [...fresh, ...fresh], fresh);
}

/** For two requests at the same time: both send the same new events. */
export async function atTheSameTime(request: Request, context: Context): Promise<void> {
  const user = userOf(context);
  if (user.twin) {
    send(request, context, user.twin.events, [], user.twin.group);
    user.twin = undefined;
    return;
  }
  const fresh = newEvents(context, batchOf(context));
  user.twin = send(request, context, fresh, fresh);
}

/** New events for the window that the user began with, which must have closed by now. */
export async function lateForTheFirst(request: Request, context: Context): Promise<void> {
  const { first } = userOf(context);
  if (!first) throw new Error('there is nothing to be late for: post something before');
  const at = Date.parse(first.events[0]!.timestamp);
  sendLate(request, context, () => at);
}

/** New events for windows of the last day, most of which have none so far. */
export async function lateByHours(request: Request, context: Context): Promise<void> {
  const now = Date.now();
  sendLate(request, context, () => now - LATE_FROM_MS - below(LATE_TO_MS - LATE_FROM_MS));
}

/** After a request with events: notes the answer. */
export async function count(
  request: Request,
  response: Response,
  context: Context,
  events: Emitter,
): Promise<void> {
  const user = userOf(context);
  const id = request.headers?.[REQUEST_ID] ?? '';
  const posted = user.underWay.get(id);
  if (!posted) throw new Error('the answer to a request that was not sent');
  user.underWay.delete(id);
  const at = Date.now();
  const { accepted = 0, duplicates = 0 } = bodyOf(response) as { accepted?: number; duplicates?: number };
  const status = response.statusCode;
  note(user, { line: 'answered', at, request: id, status, accepted, duplicates });
  events.emit('histogram', 'tidemark.write_ms', at - posted.at);
  // Also when it is 0: a condition needs its counter to be there.
  events.emit('counter', 'tidemark.refused', status === 200 ? 0 : 1);
  events.emit('counter', 'tidemark.acknowledged', status === 200 ? accepted : 0);
}

/** Before a read: for its time. */
export async function read(_: Request, context: Context): Promise<void> {
  userOf(context).readAt = Date.now();
}

export const seesWindows = sees<Parameters<typeof countedWindows>[0]>(countedWindows);
export const seesUsage = sees<Parameters<typeof countedUsage>[0]>((items) => countedUsage(items, '30s'));
export const seesHours = sees<Parameters<typeof countedSummaries>[0]>((items) =>
  countedSummaries(items, 'hourly'),
);
export const seesEvents = sees<Parameters<typeof countedEvents>[0]>(countedEvents);

/** The current window and the one before it. */
export async function seesLive(
  _: Request,
  response: Response,
  context: Context,
  events: Emitter,
): Promise<void> {
  const live = bodyOf(response) as { current?: LiveItem; previous?: LiveItem };
  if (response.statusCode !== 200 || !live.current || !live.previous) {
    return tellRead(context, events, [`live: ${response.statusCode} ${response.body.slice(0, 200)}`]);
  }
  const since = Date.parse(live.previous.windowStart);
  check(context, events, countedLive([live.previous, live.current]), since);
}

/** After a read that is not compared. */
export async function answered(
  _: Request,
  response: Response,
  context: Context,
  events: Emitter,
): Promise<void> {
  const faults = response.statusCode === 200 ? [] : [`${response.statusCode} ${response.body.slice(0, 200)}`];
  tellRead(context, events, faults);
}

/** After a read of the user's own customer: it must have all that the user was acknowledged, in each bucket. */
function sees<Items>(counted: (items: Items) => Counted) {
  return async (_: Request, response: Response, context: Context, events: Emitter): Promise<void> => {
    const { data, nextCursor } = bodyOf(response) as { data?: Items; nextCursor?: string | null };
    if (response.statusCode !== 200 || !data || nextCursor !== null) {
      return tellRead(context, events, [`${response.statusCode} ${response.body.slice(0, 200)}`]);
    }
    check(context, events, counted(data));
  };
}

function check(context: Context, events: Emitter, counted: Counted, since = 0): void {
  const { ledger } = userOf(context);
  const customer = customerOf(context);
  const windows = new Map([...(ledger.customers.get(customer) ?? [])].filter(([start]) => start >= since));
  tellRead(context, events, differences(customer, windows, counted).map(describe));
}

function tellRead(context: Context, events: Emitter, faults: string[]): void {
  events.emit('histogram', 'tidemark.read_ms', Date.now() - (userOf(context).readAt ?? 0));
  events.emit('counter', 'tidemark.reads', 1);
  events.emit('counter', 'tidemark.wrong_reads', faults.length === 0 ? 0 : 1);
  if (faults.length > 0) openJournal().write({ line: 'misread', at: Date.now(), faults });
}

function sendNew(request: Request, context: Context, size: number): void {
  const events = newEvents(context, size);
  send(request, context, events, events);
}

function sendLate(request: Request, context: Context, at: () => number): void {
  const customer = customerOf(context);
  const events = Array.from({ length: batchOf(context) }, () => anEvent(customer, at()));
  send(request, context, events, events, undefined, true);
}

/** Sets the body of a request and notes it, of its events those that are new. */
function send(
  request: Request,
  context: Context,
  events: Event[],
  fresh: Event[],
  group?: string,
  late = false,
): Sent {
  const user = userOf(context);
  const id = randomUUID();
  const windows: ByWindow = new Map();
  for (const event of fresh) addEvent(windows, event);
  const posted: Posted = {
    line: 'posted',
    at: Date.now(),
    request: id,
    group: group ?? id,
    customer: events[0]!.customerId,
    events: events.length,
    fresh: [...windows],
    late,
  };
  request.headers = { ...request.headers, 'content-type': 'application/json', [REQUEST_ID]: id };
  request.body = JSON.stringify(events.length === 1 ? events[0] : events);
  user.underWay.set(id, posted);
  note(user, posted);
  const sent = { group: posted.group, events };
  user.first ??= sent;
  user.last = sent;
  return sent;
}

function note(user: User, line: Parameters<Ledger['add']>[0]): void {
  user.ledger.add(line);
  openJournal().write(line);
}

function newEvents(context: Context, size: number): Event[] {
  const customer = customerOf(context);
  return Array.from({ length: size }, () => anEvent(customer, Date.now()));
}

function lastOf(context: Context): Sent {
  const { last } = userOf(context);
  if (!last) throw new Error('there is nothing to repeat: post something before');
  return last;
}

function userOf({ vars }: Context): User {
  vars.state ??= { ledger: new Ledger(), underWay: new Map() };
  return vars.state;
}

function customerOf({ vars }: Context): string {
  vars.customer ??= `${runName()}-${below(vars.customers ?? 1)}`;
  return vars.customer;
}

function batchOf({ vars }: Context): number {
  return vars.batch ?? 10;
}

function runName(): string {
  return process.env.TIDEMARK_RUN ?? 'load';
}

function openJournal(): Journal {
  journal ??= new Journal(process.env.TIDEMARK_JOURNAL!);
  return journal;
}

function bodyOf({ body }: Response): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return {};
  }
}

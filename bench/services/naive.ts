import { connect } from 'node:net';
import { Hono } from 'hono';
import postgres from 'postgres';
import { listenInChild } from './listenInChild.ts';

/*
 * (c) The service one writes in an afternoon: a table with a unique id, JSONB for the rest, and an INSERT per request.
 * With the socket that postgres.js should have made itself, since without it the comparison would be with a delay.
 */

const sql = postgres(process.env.DATABASE_URL!, {
  max: 10,
  onnotice: () => undefined,
  socket: ({ host, port }: { host: string[]; port: number[] }) =>
    connect({ host: host[0]!, port: port[0]!, noDelay: true }),
} as postgres.Options<Record<string, never>>);

const timescale = process.env.ENGINE === 'timescale';
await sql`
  create table event (
    tenant_id   text not null,
    event_id    uuid not null,
    customer_id text not null,
    ts          timestamptz not null,
    endpoint    text,
    metadata    jsonb not null,
    received_at timestamptz not null default now()
  )`;
if (timescale) {
  await sql`select create_hypertable('event', by_range('ts', interval '1 day'), create_default_indexes => false)`;
  await sql`create unique index on event (ts, tenant_id, event_id)`; // must contain the time column
} else {
  await sql`create unique index on event (tenant_id, event_id)`;
}
await sql`create index on event (tenant_id, customer_id, ts)`;

interface Event {
  tenantId: string;
  eventId: string;
  customerId: string;
  timestamp: string;
  apiEndpoint: string;
  metadata: postgres.JSONValue;
}

function asRow(event: Event) {
  return {
    tenant_id: event.tenantId,
    event_id: event.eventId,
    customer_id: event.customerId,
    ts: event.timestamp,
    endpoint: event.apiEndpoint,
    metadata: sql.json(event.metadata),
  };
}

const app = new Hono();
app.post('/v1/events', async (c) => {
  const body = await c.req.json<Event | Event[]>();
  const rows = Array.isArray(body) ? body.map(asRow) : asRow(body);
  const { count } = await sql`insert into event ${sql(rows as never)} on conflict do nothing`;
  return c.json({ accepted: count, duplicates: (Array.isArray(body) ? body.length : 1) - count });
});

listenInChild(app, () => sql.end({ timeout: 5 }));

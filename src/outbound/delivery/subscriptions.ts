import { randomBytes, randomUUID } from 'node:crypto';
import { type Actor, COMMAND, writeEntries } from '../../access/tenancy/auditLog.ts';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { byAge, listByAge } from '../../ground/db/listByAge.ts';
import type { Page } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { waitingForBatches } from '../../ground/db/waitingForBatches.ts';
import { TidemarkError } from '../../model/errors.ts';
import { type EndpointCheck, requireUrl } from './endpointCheck.ts';
import { fillRecordHistory } from './fillRecordHistory.ts';
import type { MessageType } from './messageTypes.ts';

/** A subscription without its secret. */
export interface Subscription {
  id: string;
  tenantId: string;
  /** A webhook, or a Redis stream: one of both is null. */
  url: string | null;
  stream: string | null;
  messageTypes: MessageType[];
  /** Null: of all. */
  customers: string[] | null;
  description: string | null;
  /** Whether messages of windows are to have the digest of their events. */
  digest: boolean;
  active: boolean;
  disabledAt: string | null;
  disabledReason: string | null;
  /** Until when the secret before the last rotation signs as well. */
  previousSecretUntil: string | null;
  /** The same of every secret that signs beside the present one, newest first; left out where there is none. */
  previousSecretsUntil?: string[];
  createdAt: string;
  updatedAt: string;
}

export interface NewSubscription {
  url?: string | undefined;
  stream?: string | undefined;
  messageTypes: MessageType[];
  customers?: string[] | null | undefined;
  description?: string | null | undefined;
  digest?: boolean | undefined;
}

/** What is left out stays as it is. */
export interface SubscriptionChanges {
  url?: string | undefined;
  messageTypes?: MessageType[] | undefined;
  customers?: string[] | null | undefined;
  description?: string | null | undefined;
  digest?: boolean | undefined;
  active?: boolean | undefined;
}

interface Row {
  id: string;
  tenant_id: string;
  url: string | null;
  stream: string | null;
  message_types: MessageType[];
  customers: string[] | null;
  description: string | null;
  digest: boolean;
  active: boolean;
  disabled_at: Date | null;
  disabled_reason: string | null;
  previous_secrets_until: string[];
  created_at: Date;
  updated_at: Date;
}

/** What one tenant may have, so that no batch costs more than so many. */
export const MAX_SUBSCRIPTIONS = 100;
const BY_REQUEST = 'by request';

/** Secrets that may sign beside the present one: more would cut somebody off, or make signatures without end. */
export const MAX_PREVIOUS_SECRETS = 10;

/** Until when each secret signs that was replaced, newest first, as jsonb. */
const secretsUntil = (row: string) => `(
  select coalesce(jsonb_agg(iso8601((value ->> 'until')::timestamptz) order by ordinality), '[]')
  from jsonb_array_elements(${row}.retired_secrets) with ordinality
  where (value ->> 'until')::timestamptz > now())`;

const columns = (
  row: string,
) => `${row}.id, ${row}.tenant_id, ${row}.url, ${row}.stream, ${row}.message_types,
  ${row}.customers, ${row}.description, ${row}.digest, ${row}.active, ${row}.disabled_at, ${row}.disabled_reason,
  ${secretsUntil(row)} as previous_secrets_until, ${row}.created_at, ${row}.updated_at`;

const SUBSCRIPTIONS = byAge('subscriptions');

/** What the audit log says of a subscription: never a secret. */
const state = (row: string) => `jsonb_build_object(
  'url', ${row}.url, 'stream', ${row}.stream, 'messageTypes', ${row}.message_types, 'customers', ${row}.customers,
  'description', ${row}.description, 'digest', ${row}.digest, 'active', ${row}.active)`;

/** `whsec_` and 256 random bits, as Standard Webhooks has it. */
function generateSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

/**
 * Makes a subscription. Messages are written for it from the first batch that enters after this returns. The secret of
 * a webhook is returned here and never again; a stream has none.
 *
 * @throws {TidemarkError} `endpoint_invalid` and what the check throws, with nothing stored; `limit_reached`,
 * `overloaded`.
 */
export async function createSubscription(
  db: Queryable,
  context: TenantContext,
  subscription: NewSubscription,
  check: EndpointCheck,
  actor: Actor = COMMAND,
): Promise<Subscription & { secret: string | null }> {
  const { url, stream, messageTypes, customers, description, digest = false } = subscription;
  if (url !== undefined) await requireEndpoint(url, check);
  else await check({ stream: stream! });
  const secret = url === undefined ? null : generateSecret();
  const { rows } = await waitingForBatches(() =>
    db.query<Row>(
      `with made as (
         insert into subscription (id, tenant_id, url, stream, message_types, customers, description, secret, digest)
         select $1, $2, $3, $4, $5, $6, $7, $8, $11
         where tenant_has_room($2, 'subscriptions', $9)
         returning *
       ), logged as (${writeEntries({
         from: 'made',
         action: 'subscription.created',
         after: state('made'),
         actor: '$10',
       })})
       select ${columns('made')} from made`,
      [
        randomUUID(),
        context.tenantId,
        url ?? null,
        stream ?? null,
        [...new Set(messageTypes)],
        customers ? [...new Set(customers)] : null,
        description ?? null,
        secret,
        MAX_SUBSCRIPTIONS,
        JSON.stringify(actor),
        digest,
      ],
    ),
  );
  if (!rows[0])
    throw new TidemarkError('limit_reached', `a tenant may have ${MAX_SUBSCRIPTIONS} subscriptions`);
  await beginHistory(db, rows[0]);
  return { ...toSubscription(rows[0]), secret };
}

/**
 * What a short history holds of records is added up before anybody hears of the next one. A longer one is left to the
 * housekeeper, and so is what fails here.
 */
async function beginHistory(db: Queryable, { active, message_types: types }: Row): Promise<void> {
  if (active && types.includes('record.processed')) await fillRecordHistory(db).catch(() => undefined);
}

/** Subscriptions by age, oldest first, without those that were deleted. @throws {TidemarkError} `cursor_invalid`. */
export async function listSubscriptions(
  db: Queryable,
  context: TenantContext,
  query: { cursor?: string | undefined; limit: number },
): Promise<Page<Subscription>> {
  const rows = {
    columns: columns('subscription'),
    table: 'subscription',
    condition: 'tenant_id = $4 and deleted_at is null',
    values: [context.tenantId],
  };
  const page = await listByAge<Row>(db, SUBSCRIPTIONS, rows, query);
  return { data: page.data.map(toSubscription), nextCursor: page.nextCursor };
}

/** @throws {TidemarkError} `not_found`. */
export async function getSubscription(
  db: Queryable,
  context: TenantContext,
  id: string,
): Promise<Subscription> {
  const { rows } = await db.query<Row>(
    `select ${columns('subscription')} from subscription where tenant_id = $1 and id = $2 and deleted_at is null`,
    [context.tenantId, id],
  );
  return found(rows[0]);
}

/**
 * Changes a subscription. Made active again, it hears of what happens from then on.
 *
 * @throws {TidemarkError} `not_found`; `endpoint_invalid` and what the check throws; `invalid_request` for a URL where
 * there is a stream; `overloaded`.
 */
export async function updateSubscription(
  db: Queryable,
  context: TenantContext,
  id: string,
  changes: SubscriptionChanges,
  check: EndpointCheck,
  actor: Actor = COMMAND,
): Promise<Subscription> {
  const { url, messageTypes, customers, description, digest, active } = changes;
  if (url !== undefined) {
    const { stream } = await getSubscription(db, context, id); // before anybody is asked who answers there
    if (stream !== null) throw new TidemarkError('invalid_request', 'url: the subscription is to a stream');
    await requireEndpoint(url, check);
  }
  const { rows } = await waitingForBatches(() =>
    db.query<Row>(
      `with old as (
         select * from subscription where tenant_id = $1 and id = $2 and deleted_at is null for update
       ), changed as (
         update subscription s set
           url = coalesce($3, s.url),
           message_types = coalesce($4, s.message_types),
           customers = case when $5 then $6 else s.customers end,
           description = case when $7 then $8 else s.description end,
           digest = coalesce($12, s.digest),
           active = coalesce($9, s.active),
           disabled_at = case when coalesce($9, s.active) then null else coalesce(s.disabled_at, now()) end,
           disabled_reason = case when coalesce($9, s.active) then null else coalesce(s.disabled_reason, $10) end,
           updated_at = now()
         from old where s.id = old.id returning s.*, ${state('old')} as before
       ), logged as (${writeEntries({
         from: 'changed',
         action: 'subscription.updated',
         before: 'before',
         after: state('changed'),
         actor: '$11',
       })})
       select ${columns('changed')} from changed`,
      [
        context.tenantId,
        id,
        url ?? null,
        messageTypes ? [...new Set(messageTypes)] : null,
        customers !== undefined,
        customers ? [...new Set(customers)] : null,
        description !== undefined,
        description ?? null,
        active ?? null,
        BY_REQUEST,
        JSON.stringify(actor),
        digest ?? null,
      ],
    ),
  );
  if (rows[0]) await beginHistory(db, rows[0]);
  return found(rows[0]);
}

/**
 * Deletes a subscription: nothing more is sent, and its secrets are forgotten. Its deliveries stay in their list.
 *
 * @throws {TidemarkError} `not_found`.
 */
export async function deleteSubscription(
  db: Queryable,
  context: TenantContext,
  id: string,
  actor: Actor = COMMAND,
): Promise<void> {
  const { rows } = await waitingForBatches(() =>
    db.query(
      `with old as (
         select * from subscription where tenant_id = $1 and id = $2 and deleted_at is null for update
       ), changed as (
         update subscription s set active = false, deleted_at = now(), updated_at = now(),
           secret = null, previous_secret = null, previous_secret_until = null, retired_secrets = '[]'
         from old where s.id = old.id returning s.*, ${state('old')} as before
       ), logged as (${writeEntries({
         from: 'changed',
         action: 'subscription.deleted',
         before: 'before',
         after: `jsonb_build_object('deletedAt', iso8601(deleted_at))`,
         actor: '$3',
       })})
       select id from changed`,
      [context.tenantId, id, JSON.stringify(actor)],
    ),
  );
  if (!rows[0]) throw new TidemarkError('not_found', NO_SUCH);
}

/**
 * Gives a webhook another secret, which is returned here and never again. Each one before signs beside it for 24 hours
 * from its replacement, so a call that is repeated cuts nobody off.
 *
 * @throws {TidemarkError} `not_found`; `invalid_request` for a stream, which has none; `secret_not_rotatable` while
 * `MAX_PREVIOUS_SECRETS` sign beside the present one.
 */
export async function rotateSecret(
  db: Queryable,
  context: TenantContext,
  id: string,
  actor: Actor = COMMAND,
): Promise<Subscription & { secret: string }> {
  const secret = generateSecret();
  const { rows } = await db.query<Row & { rotated: boolean; is_stream: boolean; again_at: string }>(
    `with old as (
       select *, ${secretsUntil('subscription')} as old_until
       from subscription where tenant_id = $1 and id = $2 and deleted_at is null for update
     ), changed as (
       update subscription s set secret = $3, previous_secret = old.secret,
         previous_secret_until = now() + interval '24 hours', updated_at = now()
       from old where s.id = old.id and s.url is not null and jsonb_array_length(old_until) < $5
       returning s.*, old_until
     ), logged as (${writeEntries({
       from: 'changed',
       action: 'subscription.secret_rotated',
       before: `jsonb_build_object('previousSecretsUntil', old_until)`,
       after: `jsonb_build_object('previousSecretsUntil', ${secretsUntil('changed')})`,
       actor: '$4',
     })}
     ), rotated as (select ${columns('changed')} from changed)
     select rotated.*, rotated.id is not null as rotated, old.url is null as is_stream, old_until ->> -1 as again_at
     from old left join rotated on rotated.id = old.id`,
    [context.tenantId, id, secret, JSON.stringify(actor), MAX_PREVIOUS_SECRETS],
  );
  const row = rows[0];
  if (!row) throw new TidemarkError('not_found', NO_SUCH);
  if (row.is_stream)
    throw new TidemarkError('invalid_request', 'the subscription is to a stream: it has no secret');
  if (!row.rotated) {
    throw new TidemarkError(
      'secret_not_rotatable',
      `${MAX_PREVIOUS_SECRETS} secrets sign beside the present one; the oldest does until ${row.again_at}`,
    );
  }
  return { ...toSubscription(row), secret };
}

const NO_SUCH = 'there is no such subscription';

async function requireEndpoint(url: string, check: EndpointCheck): Promise<void> {
  requireUrl(url);
  await check({ url });
}

function found(row: Row | undefined): Subscription {
  if (!row) throw new TidemarkError('not_found', NO_SUCH);
  return toSubscription(row);
}

function toSubscription(row: Row): Subscription {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    url: row.url,
    stream: row.stream,
    messageTypes: row.message_types,
    customers: row.customers,
    description: row.description,
    digest: row.digest,
    active: row.active,
    disabledAt: row.disabled_at?.toISOString() ?? null,
    disabledReason: row.disabled_reason,
    previousSecretUntil: row.previous_secrets_until[0] ?? null,
    ...(row.previous_secrets_until.length > 0 && { previousSecretsUntil: row.previous_secrets_until }),
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  };
}

import { createRoute, z } from '@hono/zod-openapi';
import { TidemarkError } from '../../errors.ts';
import { type Caller, requireScope, SCOPES } from '../../tenancy/caller.ts';
import { createKey, listKeys, revokeKey } from '../../tenancy/keys.ts';
import type { App } from '../appEnv.ts';
import { bodyFailures, failures, id, json, notFound, pageQuery, pageSchema, security } from '../schemas.ts';
import type { Services } from '../services.ts';

const Key = z
  .object({
    id: z.uuid(),
    tenantId: z.string().nullable().openapi({ description: 'null: a platform key.' }),
    scopes: z.array(z.enum(SCOPES)),
    expiresAt: z.string().nullable(),
    lastUsedAt: z.string().nullable(),
    revokedAt: z.string().nullable(),
    createdAt: z.string(),
  })
  .openapi('Key');

const NewKey = Key.extend({
  key: z.string().openapi({ description: 'The secret: shown here, never again.' }),
});

const postKey = createRoute({
  method: 'post',
  path: '/v1/keys',
  operationId: 'createKey',
  tags: ['Administration'],
  summary: 'Make a key',
  description:
    'Admin keys of a tenant make keys for it. Platform keys make any; tenantId null makes another platform key.',
  security,
  request: {
    body: {
      required: true,
      content: {
        'application/json': {
          schema: z
            .strictObject({
              tenantId: id.nullable().optional(),
              scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length),
              expiresAt: z.iso.datetime({ offset: true }).optional(),
            })
            .openapi({ example: { tenantId: 'acme', scopes: ['ingest', 'read'] } }),
        },
      },
    },
  },
  responses: {
    201: json(NewKey.openapi('NewKey'), 'The key with its secret'),
    ...failures,
    ...notFound,
    ...bodyFailures,
  },
});

const getKeys = createRoute({
  method: 'get',
  path: '/v1/keys',
  operationId: 'listKeys',
  tags: ['Administration'],
  summary: 'Keys without their secrets, oldest first',
  security,
  request: { query: z.strictObject({ tenantId: id.optional(), ...pageQuery(100, 1_000) }) },
  responses: { 200: json(pageSchema(Key, 'KeyPage'), 'Keys'), ...failures },
});

const deleteKey = createRoute({
  method: 'delete',
  path: '/v1/keys/{id}',
  operationId: 'revokeKey',
  tags: ['Administration'],
  summary: 'Revoke a key',
  description: 'For good; every instance refuses it within five seconds.',
  security,
  request: { params: z.object({ id: z.uuid() }) },
  responses: { 204: { description: 'Revoked' }, ...failures, ...notFound },
});

export function keyRoutes(app: App, { admin, authenticator }: Services): void {
  app.openapi(postKey, async (c) => {
    const { tenantId, scopes, expiresAt } = c.req.valid('json');
    const expires = expiresAt === undefined ? undefined : new Date(expiresAt);
    if (expires && expires.getTime() <= Date.now()) {
      throw new TidemarkError('invalid_request', 'expiresAt must be in the future');
    }
    const caller = c.get('caller');
    if (caller.tenantId === null && tenantId === undefined) {
      throw new TidemarkError('tenant_required', 'name the tenant of the key; null makes a platform key');
    }
    const owner = tenantOfKeys(caller, tenantId);
    const unique = [...new Set(scopes)];
    c.header('Cache-Control', 'no-store');
    return c.json(await createKey(admin, { tenantId: owner, scopes: unique, expiresAt: expires }), 201);
  });

  app.openapi(getKeys, async (c) => {
    const { tenantId, ...page } = c.req.valid('query');
    return c.json(await listKeys(admin, tenantOfKeys(c.get('caller'), tenantId), page), 200);
  });

  app.openapi(deleteKey, async (c) => {
    await revokeKey(admin, tenantOfKeys(c.get('caller'), undefined), c.req.valid('param').id);
    authenticator.forget();
    return c.body(null, 204);
  });
}

/** Whose keys the caller may handle: those of its own tenant, or for a platform key what it asks for (null: all). */
function tenantOfKeys(caller: Caller, requested: string | null | undefined): string | null {
  requireScope(caller, 'admin');
  if (caller.tenantId === null) return requested ?? null;
  if (requested !== undefined && requested !== caller.tenantId) {
    throw new TidemarkError('tenant_mismatch', 'the key belongs to another tenant');
  }
  return caller.tenantId;
}

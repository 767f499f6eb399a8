import { createRoute, z } from '@hono/zod-openapi';
import { administeredTenant, SCOPES } from '../../../access/tenancy/caller.ts';
import { createKey, listKeys, revokeKey } from '../../../access/tenancy/keys.ts';
import { rotateKey } from '../../../access/tenancy/rotateKey.ts';
import { MAX_TIMESTAMP, WHEN } from '../../../intake/events/nativeEvent.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { parseTimestamp, timestampFault } from '../../../model/timestamp.ts';
import { actorOf } from '../actor.ts';
import type { App } from '../appEnv.ts';
import { requestHeader } from '../nodeHttp.ts';
import { refuse } from '../refusal.ts';
import {
  bodyFailures,
  conflict,
  failures,
  id,
  json,
  jsonBody,
  jsonPage,
  numeric,
  pageQuery,
  security,
  thingFailures,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const DAY_S = 86_400;
/** How long both keys are valid where the caller does not say, and at most, in s. */
const OVERLAP_S = DAY_S;
const MAX_OVERLAP_S = 90 * DAY_S;

/** From here on there is no text for a time that could be sent again, in ms. */
const YEAR_10000 = Date.UTC(10_000, 0, 1);

const when = numeric(MAX_TIMESTAMP, 'must be a date-time').superRefine((sent, context) => {
  const text = String(sent);
  const micros = parseTimestamp(text);
  if (Number.isNaN(micros)) {
    refuse(context, [], { code: 'timestamp_invalid', message: timestampFault(text) });
  } else if (!(micros / 1_000 < YEAR_10000)) {
    refuse(context, [], { code: 'out_of_range', message: 'is after the year 9999' });
  }
});

const Key = z
  .object({
    id: z.uuid(),
    tenantId: z.string().nullable().openapi({ description: 'null: a platform key.' }),
    scopes: z.array(z.enum(SCOPES)),
    expiresAt: z.string().nullable(),
    lastUsedAt: z.string().nullable(),
    revokedAt: z.string().nullable(),
    replaces: z.string().nullable().openapi({ description: 'The key whose place this one took.' }),
    replacedBy: z.string().nullable().openapi({ description: 'The key that took the place of this one.' }),
    createdAt: z.string(),
  })
  .openapi('Key');

const NewKey = Key.extend({
  key: z.string().openapi({ description: 'The secret: shown here, never again.' }),
}).openapi('NewKey');

const OwnKey = z
  .object({
    id: z.uuid().nullable().openapi({ description: 'null: ADMIN_KEY.' }),
    tenantId: z.string().nullable().openapi({ description: 'null: a platform key.' }),
    scopes: z.array(z.enum(SCOPES)),
    expiresAt: z.string().nullable(),
    platform: z.boolean().openapi({ description: 'Whether it is for all tenants.' }),
  })
  .openapi('OwnKey');

const params = z.object({ id: z.uuid() });

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
    body: jsonBody(
      z
        .strictObject({
          tenantId: id.nullable().optional(),
          scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length),
          expiresAt: when.optional().openapi({ format: 'date-time', description: WHEN }),
        })
        .openapi({ example: { tenantId: 'acme', scopes: ['ingest', 'read'] } }),
    ),
  },
  responses: {
    201: json(NewKey, 'The key with its secret'),
    ...thingFailures,
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
  responses: { 200: jsonPage(Key, 'KeyPage', 'Keys'), ...failures },
});

const getOwnKey = createRoute({
  method: 'get',
  path: '/v1/keys/self',
  operationId: 'describeKey',
  tags: ['Administration'],
  summary: 'What the key of this request may do',
  description: 'Whose it is, its scopes and its end; any key may ask, whatever its scopes.',
  security,
  request: { query: z.strictObject({}) },
  responses: { 200: json(OwnKey, 'The key'), ...failures },
});

const deleteKey = createRoute({
  method: 'delete',
  path: '/v1/keys/{id}',
  operationId: 'revokeKey',
  tags: ['Administration'],
  summary: 'Revoke a key',
  description: 'For good; every instance refuses it within five seconds.',
  security,
  request: { params },
  responses: { 204: { description: 'Revoked' }, ...thingFailures },
});

const postRotation = createRoute({
  method: 'post',
  path: '/v1/keys/{id}/rotate',
  operationId: 'rotateKey',
  tags: ['Administration'],
  summary: 'Replace a key',
  description:
    'Makes a key of the same tenant with the same scopes; where the old one had an end, the new one lives as long. ' +
    'The old key stays valid for overlapSeconds, never past its own end; every instance knows within five seconds.',
  security,
  request: {
    params,
    body: {
      content: {
        'application/json': {
          schema: z
            .strictObject({
              overlapSeconds: z
                .int()
                .min(0)
                .max(MAX_OVERLAP_S)
                .default(OVERLAP_S)
                .openapi({ description: 'How long both are valid; 0: the old key ends at once.' }),
            })
            .openapi({ example: { overlapSeconds: 3_600 } }),
        },
      },
    },
  },
  responses: {
    201: json(NewKey, 'The new key with its secret'),
    ...thingFailures,
    ...bodyFailures,
    ...conflict('The key is revoked, expired or already replaced'),
  },
});

export function keyRoutes(app: App, services: Services): void {
  const { admin, authenticator, portalAuthenticator } = services;

  app.openapi(postKey, async (c) => {
    const { tenantId, scopes, expiresAt } = c.req.valid('json');
    const expires = expiresAt === undefined ? undefined : new Date(parseTimestamp(String(expiresAt)) / 1_000);
    if (expires && !(expires.getTime() > Date.now())) {
      throw new TidemarkError('invalid_request', 'expiresAt must be in the future');
    }
    const caller = c.get('caller');
    if (caller.tenantId === null && tenantId === undefined) {
      throw new TidemarkError('tenant_required', 'name the tenant of the key; null makes a platform key');
    }
    const owner = administeredTenant(caller, tenantId);
    const key = { tenantId: owner, scopes: [...new Set(scopes)], expiresAt: expires };
    return c.json(await createKey(admin, key, actorOf(c, services)), 201);
  });

  app.openapi(getKeys, async (c) => {
    const { tenantId, ...page } = c.req.valid('query');
    return c.json(await listKeys(admin, administeredTenant(c.get('caller'), tenantId), page), 200);
  });

  app.openapi(getOwnKey, (c) => {
    const { keyId, tenantId, scopes, expiresAt } = c.get('caller');
    return c.json(
      {
        id: keyId,
        tenantId,
        scopes: SCOPES.filter((scope) => scopes.has(scope)),
        expiresAt: expiresAt === null ? null : new Date(expiresAt).toISOString(),
        platform: tenantId === null,
      },
      200,
    );
  });

  app.openapi(deleteKey, async (c) => {
    const tenantId = administeredTenant(c.get('caller'), undefined);
    await revokeKey(admin, tenantId, c.req.valid('param').id, actorOf(c, services));
    authenticator.forget();
    portalAuthenticator.forget();
    return c.body(null, 204);
  });

  app.openapi(postRotation, async (c) => {
    // The body may be left out, so one of another type would pass for none.
    const type = requestHeader(c, 'content-type');
    if (type !== undefined && !/^application\/json\s*(;|$)/i.test(type)) {
      throw new TidemarkError('unsupported_media_type', 'send application/json', {
        headers: { Accept: 'application/json' },
      });
    }
    const { overlapSeconds = OVERLAP_S } = c.req.valid('json');
    const tenantId = administeredTenant(c.get('caller'), undefined);
    const rotation = { tenantId, id: c.req.valid('param').id, overlapSeconds };
    const made = await rotateKey(admin, rotation, actorOf(c, services));
    authenticator.forget();
    portalAuthenticator.forget();
    return c.json(made, 201);
  });
}

import { createRoute, z } from '@hono/zod-openapi';
import { type AuditEntry, listAuditLog } from '../../../access/tenancy/auditLog.ts';
import { administeredTenant } from '../../../access/tenancy/caller.ts';
import { tenantContext } from '../../../access/tenancy/tenantContext.ts';
import { stringifyJson } from '../../../model/json.ts';
import type { App } from '../appEnv.ts';
import { parseRange } from '../range.ts';
import { failures, id, jsonPage, pageQuery, rangeQuery, security, text } from '../schemas.ts';
import type { Services } from '../services.ts';

const DAY_MS = 86_400_000;
const LONGEST_MS = 3_660 * DAY_MS;
/** The clock of the database, which dates the entries, may be ahead of ours, in ms. */
const AHEAD_MS = 60_000;

const fields = z.record(z.string(), z.unknown());

const example: AuditEntry = {
  id: 'd6f0c5a8-1f0b-4f7e-9c53-6d0f6c1b2a47',
  at: '2026-03-01T12:00:00.000Z',
  actor: { kind: 'key', keyId: '5b0c7f0e-7d0e-4c38-8f5b-0c5f8f6f3b1d', tenantId: 'acme' },
  tenantId: 'acme',
  action: 'key.revoked',
  target: '9f3f4c1a-3f0a-4a56-8a35-3d1c64fa6c11',
  changes: { before: { revokedAt: null }, after: { revokedAt: '2026-03-01T12:00:00.000Z' } },
  requestId: '0d0a3c3e-6f0c-4b8f-a0d5-2f0a3b1c4d5e',
  clientAddress: '192.0.2.7',
};

const Entry = z
  .object({
    id: z.uuid(),
    at: z.string(),
    actor: z.object({
      kind: z.enum(['key', 'admin_key', 'command']).openapi({
        description: 'admin_key: ADMIN_KEY. command: a program of the installation, not over HTTP.',
      }),
      keyId: z.string().nullable(),
      tenantId: z.string().nullable().openapi({ description: 'null: the platform.' }),
    }),
    tenantId: z.string().nullable().openapi({ description: 'Whom it is about; null: the platform.' }),
    action: z
      .string()
      .openapi({ description: 'Such as key.created, key.rotated, key.revoked, tenant.updated.' }),
    target: z.string().openapi({ description: 'Id of the key, tenant or customer.' }),
    changes: z.object({ before: fields.nullable(), after: fields }),
    requestId: z.string().nullable(),
    clientAddress: z
      .string()
      .nullable()
      .openapi({ description: 'A tenant is not shown that of a platform key.' }),
  })
  .openapi('AuditEntry', { example });

const getAuditLog = createRoute({
  method: 'get',
  path: '/v1/audit-log',
  operationId: 'listAuditLog',
  tags: ['Administration'],
  summary: 'Administrative changes, newest first',
  description:
    'An admin key of a tenant sees what was changed of that tenant; a platform key sees everything, or what is about ' +
    'tenantId. Default range: all. At most 3,660 days.',
  security,
  request: {
    query: z.strictObject({
      tenantId: id.optional(),
      action: text(64).optional().openapi({ description: 'Only entries of this action: key.revoked.' }),
      ...rangeQuery,
      ...pageQuery(100, 1_000),
    }),
  },
  responses: { 200: jsonPage(Entry, 'AuditPage', 'Entries'), ...failures },
});

export function auditLogRoutes(app: App, { admin, reads }: Services): void {
  app.openapi(getAuditLog, async (c) => {
    const { tenantId: requested, ...query } = c.req.valid('query');
    const caller = c.get('caller');
    const tenantId = administeredTenant(caller, requested) ?? undefined;
    const bounds = { lengthMs: LONGEST_MS - AHEAD_MS, aheadMs: AHEAD_MS, maxMs: LONGEST_MS };
    const asked = { ...query, ...parseRange(query, bounds), tenantId };
    const page =
      caller.tenantId === null
        ? await listAuditLog(admin, 'audit_log', asked)
        : await listAuditLog(reads.as(tenantContext(caller.tenantId)), 'tenant_data.audit_log', asked);
    return c.body(stringifyJson(page), 200, { 'Content-Type': 'application/json' }) as never;
  });
}

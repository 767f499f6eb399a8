import type { Context } from 'hono';
import {
  type Customer,
  getCustomer,
  listCustomers,
  registerCustomers,
  searchCustomers,
  updateCustomer,
} from '../../../../access/tenancy/customers.ts';
import type { TenantContext } from '../../../../access/tenancy/tenantContext.ts';
import { TidemarkError } from '../../../../model/errors.ts';
import type { App, AppEnv } from '../../appEnv.ts';
import { administer, tenantOf } from '../../context.ts';
import { id, text } from '../../schemas.ts';
import type { Services } from '../../services.ts';
import { jsonAnswer } from '../answers.ts';
import { requireObject, smallJson, smallObject } from '../smallBody.ts';
import { wholeList } from '../wholeList.ts';

/*
 * Subjects and customers are one thing here: whom events are about, known by the subject of these. It has a name, and is
 * there as long as its events are: deleting it takes the name away.
 */

const MAX_PAGE = 1_000;
const DEFAULT_PAGE = 100;

/** @throws {TidemarkError} `not_found` where one of them is not there. */
export async function requireCustomers(
  services: Services,
  context: TenantContext,
  customerIds: readonly string[],
): Promise<void> {
  const db = services.reads.as(context);
  for (const customerId of customerIds) await getCustomer(db, context, customerId);
}

export function customerRoutes(app: App, services: Services): void {
  app.post('/api/v1/subjects', async (c) => {
    const { context, actor } = await administer(c, services);
    const sent = await smallJson(c);
    const subjects = (Array.isArray(sent) ? sent : [sent]).map((subject) =>
      requireObject(subject, 'a subject'),
    );
    const keys = subjects.map(({ key }) => requireText('key', key));
    const names = subjects.map(({ displayName }) => nameOf('displayName', displayName));
    await registerCustomers(services.admin, context, keys);
    const answer: Customer[] = [];
    for (const [i, key] of keys.entries()) {
      const name = names[i];
      answer.push(
        name === undefined
          ? await getCustomer(services.reads.as(context), context, key)
          : await updateCustomer(services.admin, context, key, { name }, actor),
      );
    }
    return jsonAnswer(c, answer.map(toSubject));
  });

  app.get('/api/v1/subjects', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const db = services.reads.as(context);
    const customers = await wholeList((part) => listCustomers(db, context, part));
    return jsonAnswer(c, customers.map(toSubject));
  });

  app.get('/api/v1/subjects/:id', async (c) => jsonAnswer(c, toSubject(await oneOf(c, services))));

  app.post('/api/v1/customers', async (c) => {
    const { context, actor } = await administer(c, services);
    const { customerId, name } = requireCustomer(await smallObject(c));
    await registerCustomers(services.admin, context, [customerId]);
    const before = await getCustomer(services.reads.as(context), context, customerId);
    if (before.name !== null && before.name !== name) {
      throw new TidemarkError('already_exists', `there is a customer with the key ${customerId} already`);
    }
    const made = await updateCustomer(services.admin, context, customerId, { name }, actor);
    return jsonAnswer(c, toCustomer(made), 201);
  });

  app.get('/api/v1/customers', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { key, name, subject, page, pageSize } = c.req.query();
    const number = positive('page', page, 1, 1_000_000);
    const size = positive('pageSize', pageSize, DEFAULT_PAGE, MAX_PAGE);
    const { data, total } = await searchCustomers(services.reads.as(context), context, {
      idPart: key,
      namePart: name,
      customerId: subject,
      offset: (number - 1) * size,
      limit: size,
    });
    return jsonAnswer(c, { items: data.map(toCustomer), totalCount: total, page: number, pageSize: size });
  });

  app.get('/api/v1/customers/:id', async (c) => jsonAnswer(c, toCustomer(await oneOf(c, services))));

  app.put('/api/v1/customers/:id', async (c) => {
    const { context, actor } = await administer(c, services);
    const key = c.req.param('id');
    const { customerId, name } = requireCustomer({ key, ...(await smallObject(c)) });
    if (customerId !== key)
      throw new TidemarkError('invalid_request', 'the key of a customer cannot be changed');
    return jsonAnswer(c, toCustomer(await updateCustomer(services.admin, context, key, { name }, actor)));
  });

  for (const path of ['/api/v1/subjects/:id', '/api/v1/customers/:id']) {
    app.delete(path, async (c) => {
      const { context, actor } = await administer(c, services);
      await updateCustomer(services.admin, context, c.req.param('id')!, { name: null }, actor);
      return c.body(null, 204);
    });
  }
}

async function oneOf(c: Context<AppEnv>, services: Services): Promise<Customer> {
  const context = await tenantOf(c, services, 'read');
  return getCustomer(services.reads.as(context), context, c.req.param('id')!);
}

/** Whom a customer's body is about: its key, or the one subject that its usage is attributed to. */
function requireCustomer(sent: Record<string, unknown>): { customerId: string; name: string } {
  const { key, name, usageAttribution } = sent;
  const { subjectKeys } = requireObject(usageAttribution ?? {}, 'usageAttribution');
  const keys = (Array.isArray(subjectKeys) ? subjectKeys : []) as unknown[];
  const customerId = requireText('key', key ?? keys[0]);
  if (keys.some((subject) => subject !== customerId)) {
    throw new TidemarkError(
      'invalid_request',
      'usageAttribution.subjectKeys: a customer has one subject here, which is its key',
    );
  }
  return { customerId, name: requireText('name', name) };
}

function requireText(field: string, value: unknown): string {
  const parsed = id.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new TidemarkError('invalid_request', `${field}: ${parsed.error.issues[0]!.message}`);
}

/** undefined: it is not said. */
function nameOf(field: string, value: unknown): string | null | undefined {
  if (value === undefined || value === null) return value;
  const parsed = text(256).safeParse(value);
  if (parsed.success) return parsed.data;
  throw new TidemarkError('invalid_request', `${field}: ${parsed.error.issues[0]!.message}`);
}

function positive(name: string, sent: string | undefined, otherwise: number, most: number): number {
  if (sent === undefined) return otherwise;
  const value = /^\d{1,7}$/.test(sent) ? Number(sent) : 0;
  if (value >= 1 && value <= most) return value;
  throw new TidemarkError('invalid_request', `${name} must be a number from 1 to ${most}`);
}

function toSubject({ customerId, name, createdAt, updatedAt }: Customer) {
  return {
    id: customerId,
    key: customerId,
    ...(name !== null && { displayName: name }),
    createdAt,
    updatedAt,
  };
}

function toCustomer({ customerId, name, createdAt, updatedAt }: Customer) {
  return {
    id: customerId,
    key: customerId,
    name: name ?? customerId,
    usageAttribution: { subjectKeys: [customerId] },
    createdAt,
    updatedAt,
  };
}

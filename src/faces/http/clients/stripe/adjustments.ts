import type { Context } from 'hono';
import { z } from 'zod';
import type { TenantContext } from '../../../../access/tenancy/tenantContext.ts';
import type { NamedEvent } from '../../../../intake/corrections/resolveIds.ts';
import { TidemarkError } from '../../../../model/errors.ts';
import { settledVersion } from '../../../../sums/corrections/eventVersions.ts';
import { actorOf } from '../../actor.ts';
import type { App, AppEnv } from '../../appEnv.ts';
import { tenantOf } from '../../context.ts';
import { invalidRequest } from '../../invalidRequest.ts';
import type { Services } from '../../services.ts';
import { jsonAnswer } from '../answers.ts';
import { requireStorable } from '../requireStorable.ts';
import { smallJson, smallText } from '../smallBody.ts';
import { readForm } from './readForm.ts';

const REASON = 'cancelled by a meter event adjustment';

/** What takes an event back, of v1 (whose form has become an object of texts) or v2. */
const Adjustment = z.strictObject({
  event_name: z.string().min(1),
  type: z.literal('cancel'),
  cancel: z.strictObject({ identifier: z.string().min(1) }),
  expand: z.unknown().optional(), // says what the answer is to have
});
type Adjustment = z.infer<typeof Adjustment>;

/** Events that were sent wrongly count no more: they are void (docs/corrections.md), whenever they were sent. */
export function adjustmentRoutes(app: App, services: Services): void {
  app.post('/v1/billing/meter_event_adjustments', async (c) => {
    const { sent } = await cancel(c, services, async () => readForm(await smallText(c)));
    return jsonAnswer(c, {
      object: 'billing.meter_event_adjustment',
      ...sent,
      livemode: true,
      status: 'complete',
    });
  });

  app.post('/v2/billing/meter_event_adjustments', async (c) => {
    const { id, at, sent } = await cancel(c, services, () => smallJson(c));
    return jsonAnswer(c, {
      object: 'v2.billing.meter_event_adjustment',
      id,
      created: at,
      ...sent,
      livemode: true,
      status: 'complete',
    });
  });
}

/**
 * Has an event count no more. One that is void already stays so: its client repeats what it has no answer to.
 *
 * @returns what was asked for, and the correction that has done it.
 * @throws {TidemarkError} `invalid_request`; `not_found` where there is no such event of that name.
 */
async function cancel(c: Context<AppEnv>, services: Services, read: () => Promise<unknown>) {
  const context = await tenantOf(c, services, 'correct');
  const { expand: _, ...sent } = requireAdjustment(await read());
  const named = { clientId: requireStorable('cancel[identifier]', sent.cancel.identifier), tsMicros: null };
  const done = await cancelled(services, context, named, sent.event_name);
  if (done) return { ...done, sent };
  const { id, at } = await services.corrections
    .correct({
      kind: 'void',
      context,
      actor: actorOf(c, services),
      reason: REASON,
      events: [{ ...named, index: 0, pointer: '/cancel/identifier' }],
    })
    .catch(async (error: unknown) => {
      // Its client has repeated it, and that was faster.
      const isVoid = error instanceof TidemarkError && error.code === 'event_voided';
      const other = isVoid ? await cancelled(services, context, named, sent.event_name) : null;
      if (!other) throw error;
      return other;
    });
  if (id === null) throw new TidemarkError('not_found', 'there is no such meter event');
  return { id, at, sent };
}

/**
 * The correction that an event is void by; null where it counts.
 *
 * @throws {TidemarkError} `not_found` where there is no such event of that name.
 */
async function cancelled(services: Services, context: TenantContext, named: NamedEvent, eventName: string) {
  const { state, versions, corrections } = await services.corrections.find(context, named);
  if (settledVersion(versions)!.event.eventType !== eventName) {
    throw new TidemarkError('not_found', 'there is no meter event of that name with this identifier');
  }
  if (state !== 'voided') return null;
  const { id, at } = corrections.at(-1)!;
  return { id, at };
}

function requireAdjustment(input: unknown): Adjustment {
  const { data, error } = Adjustment.safeParse(input);
  if (error) throw invalidRequest(error.issues);
  return data;
}

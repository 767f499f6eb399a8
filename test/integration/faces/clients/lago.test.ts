import { randomUUID } from 'node:crypto';
import { Client, getLagoError } from 'lago-javascript-client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../../support/database.ts';
import { type ListeningService, startListeningService } from '../../../support/listening.ts';

describeEngine('the client of Lago', () => {
  let t: ListeningService;
  beforeAll(async () => {
    t = await startListeningService();
  });
  afterAll(() => t.stop());

  const client = async () => {
    const { id, key } = await t.tenant();
    return { id, key, lago: Client(key, { baseUrl: `${t.server.address}/api/v1` }) };
  };
  /** What the client makes of an answer that is an error. */
  const failing = async (work: Promise<unknown>) => {
    const caught = await work.then(
      () => undefined,
      (error: unknown) => error,
    );
    return caught === undefined ? undefined : ((await getLagoError(caught)) as Record<string, unknown>);
  };
  const anEvent = (fields: object = {}) => ({
    transaction_id: randomUUID(),
    external_subscription_id: 'sub-1',
    code: 'storage',
    ...fields,
  });
  const countOf = async (id: string) =>
    (await t.sql.query('select count(*)::int as n from event where tenant_id = $1', [id])).rows[0].n;

  it('sends events, one or many; a repetition is a success', async () => {
    const { id, lago } = await client();
    const seconds = Math.floor(Date.now() / 1_000) - 60;
    const event = anEvent({
      timestamp: `${seconds}.5`,
      properties: { gb: 1.5, tokens: 'many', region: 'eu' },
    });
    const first = await lago.events.createEvent({ event } as never);
    expect(first.data.event).toEqual({
      lago_id: expect.any(String),
      transaction_id: event.transaction_id,
      lago_customer_id: null,
      lago_subscription_id: null,
      external_subscription_id: 'sub-1',
      code: 'storage',
      timestamp: new Date(seconds * 1_000 + 500).toISOString(),
      precise_total_amount_cents: null,
      properties: { gb: 1.5, tokens: 'many', region: 'eu' },
      created_at: expect.any(String),
    });
    // Theirs refuses this, and takes it as another event where it has another time.
    const again = await lago.events.createEvent({ event: { ...event, timestamp: seconds + 1 } } as never);
    expect(again.data.event.lago_id).toBe(first.data.event.lago_id);
    expect(await countOf(id)).toBe(1);
    // The same transaction of another subscription is another event, as there.
    const others = [anEvent(), { ...event, external_subscription_id: 'sub-2' }, event];
    const batch = await lago.events.createBatchEvents({ events: others } as never);
    expect(batch.data.events.map(({ transaction_id }) => transaction_id)).toEqual(
      others.map(({ transaction_id }) => transaction_id),
    );
    expect(await countOf(id)).toBe(3);
  });

  it('finds events', async () => {
    const { lago } = await client();
    const begin = Math.floor(Date.now() / 1_000) - 3_600;
    const events = [0, 1, 2].map((i) =>
      anEvent({ transaction_id: `tx-${i}`, timestamp: begin + i, properties: { value: '12.50', i } }),
    );
    await lago.events.createBatchEvents({
      events: [
        ...events,
        anEvent({ code: 'other', external_subscription_id: 'sub-2', timestamp: begin + 9 }),
      ],
    } as never);
    const found = (await lago.events.findEvent('tx-1')).data.event;
    expect(found).toMatchObject({
      transaction_id: 'tx-1',
      external_subscription_id: 'sub-1',
      code: 'storage',
      timestamp: new Date((begin + 1) * 1_000).toISOString(),
      properties: { value: 12.5, i: 1 },
    });
    expect(await failing(lago.events.findEvent('tx-9'))).toMatchObject({ status: 404, error: 'Not Found' });
    const page = await lago.events.findAllEvents({ page: 2, per_page: 2, code: 'storage' });
    expect(page.data.events.map(({ transaction_id }) => transaction_id)).toEqual(['tx-0']);
    expect(page.data.meta).toEqual({
      current_page: 2,
      next_page: null,
      prev_page: 1,
      total_pages: 2,
      total_count: 3,
    });
    const ofOne = await lago.events.findAllEvents({
      external_subscription_id: 'sub-1',
      timestamp_from: new Date((begin + 1) * 1_000).toISOString(),
    });
    expect(ofOne.data.events.map(({ transaction_id }) => transaction_id)).toEqual(['tx-2', 'tx-1']);
  });

  it('is told what is wrong, by field, and of a batch by event', async () => {
    const { id, lago } = await client();
    expect(await failing(lago.events.createEvent({ event: { code: 'x' } } as never))).toEqual({
      status: 422,
      error: 'Unprocessable Entity',
      code: 'validation_errors',
      error_details: {
        transaction_id: ['value_is_mandatory'],
        external_subscription_id: ['value_is_mandatory'],
      },
      message: expect.any(String),
    });
    const batch = { events: [anEvent(), anEvent({ code: '' }), anEvent({ timestamp: 'soon' })] };
    expect(await failing(lago.events.createBatchEvents(batch as never))).toMatchObject({
      status: 422,
      error_details: { 1: { code: ['too_short'] }, 2: { timestamp: ['invalid_format'] } },
    });
    expect(await countOf(id)).toBe(0);
    const stranger = Client('tm_wrong', { baseUrl: `${t.server.address}/api/v1` });
    const wrong = await failing(stranger.billableMetrics.findAllBillableMetrics());
    expect(wrong).toMatchObject({ status: 401, error: 'Unauthorized' });
    expect(await failing(stranger.events.createEvent({ event: anEvent() } as never))).toMatchObject({
      status: 401,
    });
  });

  it('makes, lists and reads billable metrics, which count', async () => {
    const { key, lago } = await client();
    const metric = {
      name: 'Storage',
      code: 'Storage-GB',
      description: 'gigabytes',
      aggregation_type: 'sum_agg' as const,
      recurring: false,
      field_name: 'gb',
      filters: [{ key: 'region', values: ['eu', 'us'] }],
    };
    const made = (await lago.billableMetrics.createBillableMetric({ billable_metric: metric })).data
      .billable_metric;
    expect(made).toMatchObject({
      ...metric,
      lago_id: expect.any(String),
      filters: [{ key: 'region', values: [] }],
      rounding_function: null,
      expression: null,
    });
    for (const aggregation_type of ['count_agg', 'max_agg', 'unique_count_agg', 'latest_agg'] as const) {
      await lago.billableMetrics.createBillableMetric({
        billable_metric: {
          name: aggregation_type,
          code: aggregation_type,
          aggregation_type,
          ...(aggregation_type !== 'count_agg' && { field_name: 'gb' }),
        },
      });
    }
    expect((await lago.billableMetrics.findBillableMetric('Storage-GB')).data.billable_metric).toEqual(made);
    const page = await lago.billableMetrics.findAllBillableMetrics({ per_page: 2, page: 1 });
    expect(page.data.billable_metrics.map(({ code }) => code)).toEqual(['Storage-GB', 'count_agg']);
    expect(page.data.meta).toMatchObject({ total_count: 5, next_page: 2 });

    await lago.events.createBatchEvents({
      events: [
        anEvent({ code: 'Storage-GB', properties: { gb: '1.5', region: 'eu' } }),
        anEvent({ code: 'Storage-GB', properties: { gb: 2, region: 'us' } }),
      ],
    } as never);
    const { body } = await t.call('GET', `/v1/meters/${made.lago_id}/query?groupBy=region`, { key });
    expect(body.data.map((row: { value: string }) => row.value)).toEqual(['1.5', '2']);

    const refused = async (fields: object) =>
      failing(
        lago.billableMetrics.createBillableMetric({
          billable_metric: { ...metric, code: 'new', ...fields },
        } as never),
      );
    const details = async (fields: object) => (await refused(fields))?.error_details;
    expect(await details({ code: 'Storage-GB' })).toEqual({ code: ['value_already_exist'] });
    expect(await details({ aggregation_type: 'weighted_sum_agg' })).toEqual({
      aggregation_type: ['value_is_invalid'],
    });
    expect(await details({ recurring: true })).toEqual({ recurring: ['value_is_invalid'] });
    expect(await details({ rounding_function: 'ceil' })).toEqual({ rounding_function: ['value_is_invalid'] });
    expect(await details({ field_name: undefined })).toEqual({ field_name: ['value_is_mandatory'] });
    await lago.billableMetrics.destroyBillableMetric('Storage-GB');
    expect(await failing(lago.billableMetrics.findBillableMetric('Storage-GB'))).toMatchObject({
      status: 404,
    });
  });
});

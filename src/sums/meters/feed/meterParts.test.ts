import { describe, expect, it } from 'vitest';
import { usageEvent } from '../../../../test/support/usageEvent.ts';
import type { UsageEvent } from '../../../model/usageEvent.ts';
import { seriesJson, seriesOf } from '../definition/meterDefinition.ts';
import { USAGE_SERIES } from '../definition/usageSeries.ts';
import { SeriesRule } from '../rules/evaluateEvent.ts';
import { memberKey } from '../rules/memberKey.ts';
import { unpackCounts } from '../rules/packCounts.ts';
import { SeriesOfTenants } from './fedSeries.ts';
import { partsOf } from './meterParts.ts';

const NOON = Date.UTC(2026, 10, 29, 12) * 1_000;
const event = (
  seconds: number,
  document: Record<string, unknown>,
  more: Partial<UsageEvent> = {},
): UsageEvent =>
  usageEvent({
    tenantId: 'acme',
    customerId: 'ann',
    eventId: `00000000-0000-4000-8000-${String(seconds).padStart(12, '0')}`,
    tsMicros: NOON + seconds * 1_000_000,
    eventType: 'upload',
    metadata: JSON.stringify(document),
    document,
    ...more,
  });
const definition = (
  value: string | null,
  dimensions = {},
  aggregation: 'sum' | 'count' | 'uniqueCount' = 'sum',
) =>
  seriesJson(
    seriesOf({ eventType: 'upload', eventFromMicros: null, aggregation, value, dimensions, filter: [] }),
  );
const SIZES = { id: 4, tenant: 'acme', definition: definition('$.size', { zone: '$.zone' }) };
const ALL = { id: 5, tenant: 'acme', definition: definition(null, {}, 'count') };
const USERS = { id: 6, tenant: 'acme', definition: definition('$.user', {}, 'uniqueCount') };
const fed = (...rows: (typeof SIZES)[]) =>
  SeriesOfTenants.NONE.next(
    rows.map(({ id }) => id),
    rows,
  );

describe('partsOf', () => {
  it('adds up what a batch says of a series, by window, customer and dimension values', () => {
    const parts = partsOf(
      [
        event(1, { size: 0.1, zone: 'eu' }),
        event(3, { size: '0.2', zone: 'eu' }),
        event(3, { size: -5, zone: 'eu' }, { eventId: 'ffffffff-0000-4000-8000-000000000000' }),
        event(2, { size: 'big', zone: 'eu' }),
        event(29, { zone: 'eu' }),
        event(30, { size: null, zone: 'eu' }),
        event(4, { size: 7, zone: '=eu' }),
        event(4, { size: 8 }),
        event(4, { size: 9, zone: 'eu' }, { customerId: 'bob' }),
        event(4, { size: 9, zone: 'eu' }, { tenantId: 'other' }),
        event(4, { size: 9, zone: 'eu' }, { eventType: 'download' }),
      ],
      fed(SIZES),
    );
    const none = { ignoredMissing: 0, ignoredNull: 0, ignoredType: 0, ignoredRange: 0, members: null };
    expect(parts).toHaveLength(5);
    expect(parts[0]).toEqual({
      ...none,
      ...{ seriesId: 4, bucketMicros: NOON, tenantId: 'acme', customerId: 'ann', dims: ['eu'] },
      ...{ events: 5, counted: 3, sum: '-4.7', min: '-5', max: '0.2' },
      ...{ latestAtMicros: NOON + 3_000_000, latestId: 'ffffffff-0000-4000-8000-000000000000', latest: '-5' },
      ...{ ignoredType: 1, ignoredMissing: 1 },
    });
    expect(parts[1]).toMatchObject({
      ...{
        bucketMicros: NOON + 30_000_000,
        events: 1,
        counted: 0,
        sum: null,
        latestAtMicros: null,
        ignoredNull: 1,
      },
    });
    expect(parts.slice(2).map(({ customerId, dims, sum }) => [customerId, dims, sum])).toEqual([
      ['ann', ['=eu'], '7'],
      ['ann', [null], '8'],
      ['bob', ['eu'], '9'],
    ]);
  });

  it('counts, and keeps each member of a set once', () => {
    const rows = [
      event(1, { user: 'a' }),
      event(2, { user: 'b' }),
      event(3, { user: 'a' }),
      event(4, { user: {} }),
    ];
    const [all, users] = partsOf(rows, fed(ALL, USERS));
    expect(all).toMatchObject({ seriesId: 5, dims: [], events: 4, counted: 4, sum: null, members: null });
    expect(users).toMatchObject({ seriesId: 6, events: 4, counted: 3, ignoredType: 1, sum: null });
    expect(users!.members).toEqual([memberKey('a'), memberKey('b')]);
  });

  it('has nothing to say where nobody has meters, and looks at no document', () => {
    const row = event(1, {});
    Object.defineProperty(row, 'tenantId', { get: () => expect.fail('the row was looked at') });
    expect(partsOf([row], SeriesOfTenants.NONE)).toEqual([]);
  });
});

describe('SeriesOfTenants', () => {
  it('goes on with what lives, compiled once', () => {
    const first = fed(SIZES, ALL);
    expect(first.lastId).toBe(5);
    const next = first.next([5, 6], [USERS]);
    const upload = { tenantId: 'acme', eventType: 'upload' };
    expect(next.of(upload).map(({ id }) => id)).toEqual([5, 6]);
    expect(next.of(upload)[0]).toBe(first.of(upload)[1]);
    expect(next.next([5, 6], [])).toBe(next);
    const none = next.next([], []);
    expect([none.isEmpty, none.lastId, none.of(upload)]).toEqual([true, 6, []]);
  });

  it('has events of every type feed what all AI usage adds up to, beside the series of their type', () => {
    const both = fed(ALL, { id: 7, tenant: 'acme', definition: seriesJson(USAGE_SERIES) });
    const fedBy = (tenantId: string, eventType: string) =>
      both.of({ tenantId, eventType }).map(({ id }) => id);
    expect(fedBy('acme', 'upload')).toEqual([7, 5]);
    expect(fedBy('acme', 'gen_ai.chat')).toEqual([7]);
    expect(fedBy('other', 'upload')).toEqual([]);
  });
});

describe('partsOf AI usage', () => {
  const usage = fed({ id: 7, tenant: 'acme', definition: seriesJson(USAGE_SERIES) });
  const call = (
    seconds: number,
    fields: Partial<UsageEvent>,
    document: Record<string, unknown> | null = null,
  ) => event(seconds, {}, { eventType: 'chat', model: 'm', metadata: null, ...fields, document });

  it('packs the sums of every kind, without least, greatest and last', () => {
    const provider = 'openai';
    const parts = partsOf(
      [
        call(1, { inputTokens: 100, outputTokens: 7, tokens: 107 }, { provider, cachedInputTokens: 40 }),
        call(2, { inputTokens: 3, outputTokens: 9, tokens: 12 }, { provider, reasoningTokens: 10 }),
        call(3, {}, { provider, usageStatus: 'unknown' }),
        call(4, { tokens: 5 }, { provider }),
        call(4, { model: null }),
      ],
      usage,
    );
    expect(parts).toMatchObject([
      {
        seriesId: 7,
        dims: ['chat', null, 'm', 'openai'],
        events: 4,
        counted: 3,
        ignoredMissing: 1,
        min: null,
        latest: null,
      },
    ]);
    expect(unpackCounts(parts[0]!.sum!)).toEqual([63n, 7n, 40n, 9n, 0n, 0n, 0n, 5n]);
  });

  it('is nothing that the version before could take for a meter: it refuses what it cannot compile', () => {
    expect(() => new SeriesRule(USAGE_SERIES)).toThrow('the path eventType');
  });

  it('loses no token of sums that no double holds', () => {
    const most = Number.MAX_SAFE_INTEGER;
    const rows = [1, 2, 3, 4].map((i) => call(i, { inputTokens: most, outputTokens: i, tokens: most }));
    const [part] = partsOf(rows, usage);
    expect(unpackCounts(part!.sum!).slice(0, 2)).toEqual([4n * BigInt(most), 10n]);
  });
});

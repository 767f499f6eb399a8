import { afterAll, beforeAll, expect, it } from 'vitest';
import { SqlParameters } from '../../../src/ground/db/sqlParameters.ts';
import { parseEvents } from '../../../src/intake/events/parseEvents.ts';
import { parseJson } from '../../../src/model/json.ts';
import type { UsageEvent } from '../../../src/model/usageEvent.ts';
import {
  checkMeterDefinition,
  type SeriesDefinition,
  seriesFromJson,
  seriesJson,
  seriesOf,
} from '../../../src/sums/meters/definition/meterDefinition.ts';
import { USAGE_SERIES } from '../../../src/sums/meters/definition/usageSeries.ts';
import { type Outcome, SeriesRule } from '../../../src/sums/meters/rules/evaluateEvent.ts';
import { memberKey } from '../../../src/sums/meters/rules/memberKey.ts';
import { packCounts } from '../../../src/sums/meters/rules/packCounts.ts';
import { literals, parametersInto, sqlOfSeries } from '../../../src/sums/meters/rules/sqlOfSeries.ts';
import { USAGE_RULE } from '../../../src/sums/meters/rules/usageRule.ts';
import { describeEngine } from '../../support/database.ts';
import { MeterCases } from '../../support/meterCases.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { randomFrom } from '../../support/traffic.ts';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const NATIVE_EVENTS = 1_400;
const CLOUD_EVENTS = 600;
const FOREIGN_EVENTS = 400;
const AI_EVENTS = 600;
/** Events of one request. */
const BATCH = 250;
const BATCH_OF_CLOUD_EVENTS = 'application/cloudevents-batch+json';
const ROUTE = {
  native: { path: '/v1/events', type: 'application/json', status: 200 },
  ai: { path: '/v1/events', type: 'application/json', status: 200 },
  cloudevents: { path: '/v1/events', type: BATCH_OF_CLOUD_EVENTS, status: 200 },
  openmeter: { path: '/api/v1/events', type: BATCH_OF_CLOUD_EVENTS, status: 204 },
};
/** Data with the names of native fields, and not their form. */
const MISFITS = [
  '"tokens":"12"',
  '"tokens":null,"model":7',
  '"inputTokens":{"a":[1]},"latencyMs":"1.5"',
  '"outputTokens":-1,"value":"NaN"',
  '"latencyMs":null,"unit":5,"reference":null',
  '"model":"","sessionId":true',
];

/** Of two members of a name the last one counts: what was drawn. */
function withMisfit(event: string, misfit: string): string {
  return event.replace(/"data":\s*\{\s*(\}?)/, (_, end) => `"data":{${misfit}${end === '' ? ',' : '}'}`);
}

interface Found {
  event_id: string;
  matches: boolean;
  dims: (string | null)[];
  value: string | null;
  member: string | null;
  member_text: string | null;
  ignored: string | null;
}

/** @param definitions how many random ones are held against all events. */
export function describeMeterRules(definitions: number): void {
  describeEngine(`the rules of a meter (SEED=${seed})`, () => {
    const cases = new MeterCases(randomFrom(seed));
    /** As the writer has them, by their ids; and what was sent. */
    const events = new Map<string, UsageEvent>();
    const sent = new Map<string, string>();
    let t: TestService;
    let tenantId: string;

    beforeAll(async () => {
      t = await startTestService();
      const { id, key } = await t.tenant();
      tenantId = id;
      for (const [dialect, count] of [
        ['native', NATIVE_EVENTS],
        ['cloudevents', CLOUD_EVENTS],
        ['openmeter', FOREIGN_EVENTS],
        ['ai', AI_EVENTS],
      ] as const) {
        const valid: string[] = [];
        for (let tries = 0; valid.length < count; tries++) {
          expect(tries, 'most events are valid').toBeLessThan(3 * count);
          const draw = { native: 'nativeEvent', ai: 'aiEvent' } as const;
          const drawn = cases[dialect === 'native' || dialect === 'ai' ? draw[dialect] : 'cloudEvent']();
          const json = dialect === 'openmeter' ? withMisfit(drawn, MISFITS[tries % MISFITS.length]!) : drawn;
          const rules = { tenantId, earliestMicros: Number.NaN, latestMicros: Number.NaN, receivedMicros: 0 };
          const [event] = parseEvents(
            Buffer.from(json),
            { dialect: dialect === 'ai' ? 'native' : dialect, framing: 'json' },
            rules,
            1,
          ).events;
          if (!event) continue;
          valid.push(json);
          events.set(event.eventId, event);
          sent.set(event.eventId, json);
        }
        for (let from = 0; from < valid.length; from += BATCH) {
          const batch = valid.slice(from, from + BATCH);
          const { path, type, status } = ROUTE[dialect];
          const headers = { 'content-type': type };
          const answer = await t.call('POST', path, { key, headers, body: `[${batch.join(',')}]` });
          const said = status === 204 ? '' : { accepted: batch.length, duplicates: 0 };
          expect([answer.status, answer.body]).toEqual([status, said]);
        }
      }
    });
    afterAll(() => t.stop());

    it('are the same for the writer and for history', { timeout: 600_000 }, async () => {
      const documents = [...events.values()].map(documentOf);
      const seen = new Map<string, number>();
      for (let made = 0; made < definitions; ) {
        const { sent: definition, filter } = cases.definition(documents);
        const checked = checkMeterDefinition({ ...definition, filter: parseJson(filter) });
        if (checked.faults) {
          expect(checked.faults.map(({ code }) => code)).not.toContain('path_invalid');
          continue;
        }
        made++;
        const series = await throughJsonb(seriesOf(checked.definition));
        const rule = new SeriesRule(series);
        const rows = await inSql(series, made % 2 === 0);
        expect(rows).toHaveLength(events.size);
        for (const row of rows) {
          const outcome = rule.evaluate(events.get(row.event_id)!);
          count(seen, outcome);
          if (isSame(outcome, row)) continue;
          const where = { seed, series: seriesJson(series), event: sent.get(row.event_id) };
          expect({ ...where, sql: row }).toEqual({ ...where, writer: outcome }); // says all that there is to know
        }
      }
      const rare = [
        'filtered',
        'before_event_from',
        'other_type',
        'value',
        'member',
        'dimension',
        'counted',
      ].concat(
        ['missing', 'null', 'not_a_number', 'not_a_scalar', 'out_of_range'].map(
          (reason) => `ignored: ${reason}`,
        ),
      );
      for (const what of rare) expect(seen.get(what) ?? 0, `${what} is drawn`).toBeGreaterThan(20);
    });

    it('are the same of AI usage', async () => {
      const series = await throughJsonb(USAGE_SERIES);
      const seen = new Map<string, number>();
      for (const asLiterals of [true, false]) {
        for (const row of await inSql(series, asLiterals)) {
          const outcome = USAGE_RULE.evaluate(events.get(row.event_id)!);
          count(seen, outcome);
          const value = outcome.matches && outcome.counts ? packCounts(outcome.counts) : null;
          if (isSame(outcome.matches ? { ...outcome, value } : outcome, row)) continue;
          const where = { seed, event: sent.get(row.event_id) };
          expect({ ...where, sql: row }).toEqual({ ...where, writer: outcome, value });
        }
      }
      for (const what of ['filtered', 'ignored: missing', 'counted', 'dimension']) {
        expect(seen.get(what) ?? 0, `${what} is drawn`).toBeGreaterThan(50);
      }
    });

    /** As it is kept and read back. */
    async function throughJsonb(series: SeriesDefinition): Promise<SeriesDefinition> {
      const { rows } = await t.sql.query('select $1::jsonb::text as json', [seriesJson(series)]);
      const read = seriesFromJson(rows[0].json);
      expect(read).toEqual(series);
      return read;
    }

    async function inSql(series: SeriesDefinition, asLiterals: boolean): Promise<Found[]> {
      const parameters = new SqlParameters();
      const sql = sqlOfSeries(series, asLiterals ? literals : parametersInto(parameters));
      const { rows } = await t.sql.query<Found>(
        `select e.event_id, ${sql.where} as matches, ${sql.dims} as dims, trim_scale(${sql.value})::text as value,
           ${sql.member} as member, ${sql.memberText} as member_text, ${sql.ignored} as ignored
         from event e ${sql.from} where e.tenant_id = ${parameters.add(tenantId)}`,
        parameters.values,
      );
      return rows;
    }
  });
}

function isSame(outcome: Outcome, row: Found): boolean {
  if (outcome.matches !== row.matches) return false;
  if (!outcome.matches) return true;
  const { member } = outcome;
  return (
    outcome.value === row.value &&
    outcome.ignored === row.ignored &&
    member === row.member_text &&
    (member === null ? null : memberKey(member).toString('hex')) ===
      (row.member?.replaceAll('-', '') ?? null) &&
    outcome.dims.length === row.dims.length &&
    outcome.dims.every((dim, i) => dim === row.dims[i])
  );
}

function count(seen: Map<string, number>, outcome: Outcome): void {
  const add = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1);
  if (!outcome.matches) {
    add(outcome.because);
    return;
  }
  if (outcome.value !== null) add('value');
  else if (outcome.member !== null) add('member');
  else add(outcome.ignored ? `ignored: ${outcome.ignored}` : 'counted');
  if (outcome.dims.some((dim) => dim !== null)) add('dimension');
}

/** For drawing paths. */
function documentOf({ document, value, unit, reference, endpoint, tokens, model }: UsageEvent): unknown {
  const fields = { value, unit, reference, sessionId: reference, apiEndpoint: endpoint, tokens, model };
  const columns = Object.entries(fields).filter(([, column]) => column !== null);
  return Object.fromEntries([...Object.entries(document ?? {}), ...columns]);
}

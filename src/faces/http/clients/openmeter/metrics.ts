import { UTC } from '../../../../ground/zones/zoneOffset.ts';
import { usageSeries } from '../../../../sums/rollups/usageSeries.ts';
import type { App } from '../../appEnv.ts';
import { tenantOf } from '../../context.ts';
import { requestHeader } from '../../nodeHttp.ts';
import type { Services } from '../../services.ts';
import { jsonAnswer } from '../answers.ts';
import { MOST_ROWS, requireWhole } from '../wholeList.ts';

const DAY_MS = 86_400_000;

/**
 * Events by subject since midnight UTC, in the OpenMetrics format: as that where it is asked for, else as a JSON text, since
 * the client reads every answer as JSON.
 */
export function metricRoutes(app: App, services: Services): void {
  app.get('/api/v1/debug/metrics', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const from = Math.floor(Date.now() / DAY_MS) * DAY_MS;
    const page = await services.reads.inOneMoment(context, (db) =>
      usageSeries(db, context, {
        from,
        to: from + DAY_MS,
        granularity: '1d',
        offsets: UTC,
        groupBy: ['customer'],
        limit: MOST_ROWS,
      }),
    );
    const lines = requireWhole(page).map(
      ({ customerId, calls }) => `openmeter_events_total{subject="${escaped(String(customerId))}"} ${calls}`,
    );
    const head = ['# HELP openmeter_events Number of ingested events', '# TYPE openmeter_events counter'];
    const text = `${[...head, ...lines, '# EOF'].join('\n')}\n`;
    if (!/openmetrics-text|text\/plain/i.test(requestHeader(c, 'accept') ?? '')) return jsonAnswer(c, text);
    return c.body(text, 200, {
      'Content-Type': 'application/openmetrics-text; version=1.0.0; charset=utf-8',
    });
  });
}

/** A label's value (OpenMetrics 1.0, §3.4). */
function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}

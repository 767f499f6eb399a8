import { TidemarkError } from '../../../../model/errors.ts';
import type { App } from '../../appEnv.ts';

/** Corrections of events that are stored: there are none yet. */
export function adjustmentRoutes(app: App): void {
  for (const path of ['/v1/billing/meter_event_adjustments', '/v2/billing/meter_event_adjustments']) {
    app.post(path, () => {
      throw new TidemarkError(
        'not_implemented',
        'meter events cannot be cancelled here yet; nothing was changed',
      );
    });
  }
}

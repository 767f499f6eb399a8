import type { App } from '../../appEnv.ts';
import { refuseAsMissing } from './problems.ts';

/** What the client can call and this service has not, said as that: a 404 would look like a wrong address. */
const MISSING: [what: string, methods: string[], paths: string[]][] = [
  [
    'entitlements',
    ['GET'],
    [
      '/api/v1/customers/:customer/entitlements/:feature/value',
      '/api/v2/customers/:customer/entitlements/:feature/value',
      '/api/v1/customers/:customer/access',
    ],
  ],
];

export function missingRoutes(app: App): void {
  for (const [what, methods, paths] of MISSING) app.on(methods, paths, () => refuseAsMissing(what));
}

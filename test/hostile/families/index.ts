import type { Family } from '../hostileRequest.ts';
import { brokenJson } from './brokenJson.ts';
import { compression } from './compression.ts';
import { contentTypes } from './contentTypes.ts';
import { dates } from './dates.ts';
import { framing } from './framing.ts';
import { headers } from './headers.ts';
import { nesting } from './nesting.ts';
import { numbers } from './numbers.ts';
import { otlp } from './otlp.ts';
import { routes } from './routes.ts';
import { texts } from './texts.ts';
import { wrongTypes } from './wrongTypes.ts';

/** Each with its share of the requests, in parts of a hundred. */
export const FAMILIES: Record<string, { family: Family; share: number }> = {
  brokenJson: { family: brokenJson, share: 14 },
  wrongTypes: { family: wrongTypes, share: 10 },
  numbers: { family: numbers, share: 9 },
  dates: { family: dates, share: 9 },
  texts: { family: texts, share: 9 },
  nesting: { family: nesting, share: 3 },
  compression: { family: compression, share: 6 },
  contentTypes: { family: contentTypes, share: 4 },
  otlp: { family: otlp, share: 12 },
  routes: { family: routes, share: 12 },
  headers: { family: headers, share: 5 },
  framing: { family: framing, share: 7 },
};

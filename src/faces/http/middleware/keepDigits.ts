import { createMiddleware } from 'hono/factory';
import { withTextsForNumbers } from '../../../model/json.ts';
import type { AppEnv } from '../appEnv.ts';
import { requireUtf8 } from '../utf8.ts';

/**
 * A number of a body that no double holds is handed on as a text, which the schema of a decimal (`numeric`) takes for the
 * number, and that of a text for none. For bodies that Hono parses: it does so with the text in its cache. Reading one
 * that is no UTF-8 fails with `invalid_encoding`.
 */
export function keepDigits() {
  return createMiddleware<AppEnv>(async (c, next) => {
    if (c.req.raw.body) {
      const text = c.req.arrayBuffer().then((bytes) => withTexts(requireUtf8(Buffer.from(bytes))));
      text.catch(() => undefined); // a body that breaks off matters to whoever reads it
      // What is cached are promises, whatever the type says.
      c.req.bodyCache.text = text as unknown as string;
    }
    await next();
  });
}

function withTexts(json: string): string {
  try {
    return withTextsForNumbers(json);
  } catch {
    return json; // who reads it says what is wrong with it
  }
}

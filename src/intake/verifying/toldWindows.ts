import { z } from 'zod';
import { StartupError } from '../../model/errors.ts';
import { openInput } from '../importing/openInput.ts';

const ofGroup = z.object({ calls: z.number(), tokens: z.number() });
/** As it was read: z.record would leave out a group that is called `__proto__`. */
const sums = z.custom<Record<string, z.infer<typeof ofGroup>>>(
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.values(value).every((group) => ofGroup.safeParse(group).success),
  'must be calls and tokens by name',
);

/** A window as the API answers it with digest=true, or as a message tells of it. */
const ToldWindow = z.object({
  windowStart: z.iso.datetime(),
  tenantId: z.string(),
  customerId: z.string(),
  revision: z.int(),
  aggregations: z.object({
    totalCalls: z.number(),
    totalTokens: z.number(),
    totalInputTokens: z.number(),
    totalOutputTokens: z.number(),
    byEndpoint: sums,
    byModel: sums,
  }),
  digest: z
    .object({
      algorithm: z.string(),
      sha256: z.string(),
      events: z.number(),
      tokens: z.number(),
      inputTokens: z.number(),
      outputTokens: z.number(),
      value: z.string(),
    })
    .nullable(),
  digestUnavailable: z.string().optional(),
});
export type ToldWindow = z.infer<typeof ToldWindow>;

/**
 * The windows of a file: one or more answers of GET /v1/windows?digest=true, each a page or a window, or messages that
 * tell of windows, in one JSON document or one to a line. Of a window that is there more than once it is the last
 * revision.
 *
 * @throws {StartupError} when it cannot be read, or has something else.
 */
export async function toldWindows(path: string): Promise<ToldWindow[]> {
  const windows = new Map<string, ToldWindow>();
  for (const { value, place } of documentsOf(path, await readText(path))) {
    for (const item of itemsOf(value)) {
      const read = ToldWindow.safeParse(item);
      if (!read.success) throw new StartupError(`${path}: ${place}${faultOf(item, read.error)}`);
      const window = read.data;
      const key = windowKey(window);
      if (window.revision >= (windows.get(key)?.revision ?? 0)) windows.set(key, window);
    }
  }
  return [...windows.values()];
}

/** What a window is known by. */
export function windowKey({
  windowStart,
  tenantId,
  customerId,
}: Pick<ToldWindow, 'windowStart' | 'tenantId' | 'customerId'>): string {
  return JSON.stringify([Date.parse(windowStart), tenantId, customerId]);
}

async function readText(path: string): Promise<string> {
  const input = await openInput(path);
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of input.chunks) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  } finally {
    await input.close();
  }
}

function documentsOf(path: string, text: string): { value: unknown; place: string }[] {
  try {
    return [{ value: JSON.parse(text), place: '' }];
  } catch (whole) {
    const lines = text.split('\n').map((line, i) => ({ line: line.trim(), number: i + 1 }));
    const full = lines.filter(({ line }) => line !== '');
    if (full.length < 2) throw new StartupError(`${path}: ${(whole as Error).message}`, { cause: whole });
    return full.map(({ line, number }) => {
      try {
        return { value: JSON.parse(line) as unknown, place: `line ${number}: ` };
      } catch (error) {
        throw new StartupError(`${path}: line ${number}: ${(error as Error).message}`, { cause: error });
      }
    });
  }
}

/** A page has its windows in `data`, a message its window. */
function itemsOf(value: unknown): unknown[] {
  if (Array.isArray(value)) return value.flatMap(itemsOf);
  if (typeof value !== 'object' || value === null || !('data' in value)) return [value];
  return Array.isArray(value.data) ? value.data : [value.data];
}

function faultOf(item: unknown, error: z.ZodError): string {
  const isWindow = typeof item === 'object' && item !== null && 'windowStart' in item;
  if (isWindow && !('digest' in item)) return 'the windows have no digests: ask with digest=true';
  const [issue] = error.issues;
  return isWindow ? `${issue!.path.join('.')}: ${issue!.message}` : 'is no answer of GET /v1/windows';
}

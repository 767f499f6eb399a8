import { DIGEST_ALGORITHM } from '../../outbound/proof/windowDigest.ts';
import type { CallsAndTokens } from '../../sums/rollups/windowSummary.ts';
import { type ToldWindow, windowKey } from './toldWindows.ts';
import { emptyWindow, type WindowOfEvents } from './windowsOfEvents.ts';

/** What came of comparing what was told of windows with what their events come to. */
export interface Comparison {
  /** Windows that agree, and that do not. */
  agree: number;
  differ: number;
  /** Windows of which no digest was told, by the reason. */
  untold: Map<string, number>;
}

/**
 * Compares each window that was told of with the events of a file, and says in a line each in what they differ.
 *
 * @param told windows as `toldWindows` reads them.
 * @param made those of the file.
 */
export async function* compareWindows(
  told: ToldWindow[],
  made: AsyncIterable<WindowOfEvents>,
  comparison: Comparison,
): AsyncGenerator<string> {
  const waiting = new Map(told.map((window) => [windowKey(window), window]));
  const compare = (window: ToldWindow, events: WindowOfEvents): string[] => {
    if (window.digest === null) {
      const reason = window.digestUnavailable ?? 'no reason given';
      comparison.untold.set(reason, (comparison.untold.get(reason) ?? 0) + 1);
      return [];
    }
    const lines = differencesBetween(window, events);
    if (lines.length === 0) comparison.agree++;
    else comparison.differ++;
    return lines.map((line) => `${nameOf(window)}: ${line}\n`);
  };

  for await (const window of made) {
    const key = windowKey(window);
    const toldOf = waiting.get(key);
    waiting.delete(key);
    if (toldOf) yield* compare(toldOf, window);
    else {
      comparison.differ++;
      yield `${nameOf(window)}: events of it are there (${window.digest.events}), and nothing was told of it\n`;
    }
  }
  for (const window of waiting.values()) {
    yield* compare(window, emptyWindow(window.tenantId, window.customerId, window.windowStart));
  }
}

function nameOf({ windowStart, tenantId, customerId }: ToldWindow | WindowOfEvents): string {
  return `${windowStart} ${JSON.stringify(tenantId)} ${JSON.stringify(customerId)}`;
}

const SUMS = ['sha256', 'events', 'tokens', 'inputTokens', 'outputTokens', 'value'] as const;
const TOTALS = {
  totalCalls: 'events',
  totalTokens: 'tokens',
  totalInputTokens: 'inputTokens',
  totalOutputTokens: 'outputTokens',
} as const;

function differencesBetween({ digest, aggregations }: ToldWindow, made: WindowOfEvents): string[] {
  const told = digest!;
  if (told.algorithm !== DIGEST_ALGORITHM) {
    return [`its digest is of ${JSON.stringify(told.algorithm)}, and this version makes ${DIGEST_ALGORITHM}`];
  }
  const found: string[] = [];
  const compare = (name: string, of: unknown, events: unknown) => {
    if (of !== events) found.push(`${name} was told as ${of}, of the events it is ${events}`);
  };
  for (const name of SUMS) compare(name, told[name], made.digest[name]);
  for (const [name, sum] of Object.entries(TOTALS)) {
    compare(name, aggregations[name as keyof typeof TOTALS], made.digest[sum]);
  }
  for (const group of ['byEndpoint', 'byModel'] as const) {
    compare(group, written(aggregations[group]), written(made[group]));
  }
  return found;
}

/** The sums of groups in the order of their names. */
function written(groups: Record<string, CallsAndTokens>): string {
  const names = Object.keys(groups).sort();
  return JSON.stringify(names.map((name) => [name, groups[name]!.calls, groups[name]!.tokens]));
}

const INTERVAL_MS = 5_000;

export interface Memory {
  /** Resident size in MB (10^6 bytes): at first, at last, and the largest seen. */
  first: number;
  last: number;
  largest: number;
}

/**
 * Watches the memory of the service, as its /metrics say; behind a proxy that is one instance or another.
 *
 * @returns what ends it, with null where there are no metrics to be had.
 */
export function watchMemory(url: string): () => Promise<Memory | null> {
  const seen: number[] = [];
  const look = async () => {
    const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(INTERVAL_MS) });
    const bytes = /^process_resident_memory_bytes (\S+)$/m.exec(await response.text())?.[1];
    if (bytes !== undefined) seen.push(Number(bytes) / 1_000_000);
  };
  const quietly = () => look().catch(() => undefined);
  const first = quietly();
  const timer = setInterval(quietly, INTERVAL_MS);
  return async () => {
    clearInterval(timer);
    await first;
    await quietly();
    if (seen.length === 0) return null;
    return { first: seen[0]!, last: seen.at(-1)!, largest: Math.max(...seen) };
  };
}

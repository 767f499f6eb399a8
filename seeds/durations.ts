import { InvalidArgumentError } from 'commander';

const UNIT_MS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Reads `90s`, `10m`, `24h` or `7d` to ms. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text);
  if (!match) throw new InvalidArgumentError('write it as 90s, 10m, 24h or 7d');
  return Number(match[1]) * UNIT_MS[match[2]!]!;
}

import { packCounts } from '../rules/packCounts.ts';

/** Exact sums of tokens by kind: doubles while they hold them, as they nearly always do. */
export class TokenSums {
  private sums: number[] | null = null;
  private large: bigint[] | null = null;

  /** @param counts as `usageOf` gives them: each at most 2^53 - 1. */
  add(counts: readonly number[]): void {
    if (this.sums === null) {
      this.sums = [...counts];
      return;
    }
    const { sums } = this;
    for (let kind = 0; kind < sums.length; kind++) {
      const sum = sums[kind]! + counts[kind]!;
      if (sum <= Number.MAX_SAFE_INTEGER) sums[kind] = sum;
      else this.settle(kind, counts[kind]!);
    }
  }

  /** All of them in one number, packed. */
  toString(): string {
    const sums = this.sums ?? [];
    return packCounts(
      this.large === null ? sums : this.large.map((large, kind) => large + BigInt(sums[kind]!)),
    );
  }

  private settle(kind: number, count: number): void {
    this.large ??= this.sums!.map(() => 0n);
    this.large[kind]! += BigInt(this.sums![kind]!);
    this.sums![kind] = count;
  }
}

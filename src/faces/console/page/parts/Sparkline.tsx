interface SparklineProps {
  /** Oldest first; null: not known. */
  values: readonly (number | null)[];
  label: string;
  /** Where the top is, if higher than the greatest value. */
  max?: number;
}

/** A line without axes, from 0 up. */
export function Sparkline({ values, label, max = 0 }: SparklineProps) {
  const top = Math.max(max, ...values.map((value) => value ?? 0)) || 1;
  const step = 100 / Math.max(1, values.length - 1);
  let path = '';
  values.forEach((value, i) => {
    if (value === null) return;
    const before = values[i - 1] ?? null;
    path += `${before === null ? 'M' : 'L'}${(i * step).toFixed(1)} ${(23 - 22 * (value / top)).toFixed(1)}`;
  });
  return (
    <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label={label}>
      <path d={path} />
    </svg>
  );
}

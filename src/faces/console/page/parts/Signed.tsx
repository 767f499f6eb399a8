import { signed } from '../format/numbers.ts';

/** What was added to a sum. The sign says it, the colour only repeats it. */
export function Signed({ value }: { value: number | string | null | undefined }) {
  if (value == null) return null;
  const text = signed(value);
  return <span class={{ '+': 'plus', '−': 'minus' }[text[0]!] ?? 'muted'}>{text}</span>;
}

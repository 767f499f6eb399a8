/** How much of something, as a bar; above all of it, it is full. */
export function Bar({ value, of, tone = '' }: { value: number; of: number; tone?: string | undefined }) {
  const part = of > 0 ? Math.max(0, Math.min(1, value / of)) : 0;
  return (
    <svg class={`part ${tone}`} viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
      <rect width="100" height="6" />
      <rect class="done" width={100 * part} height="6" />
    </svg>
  );
}

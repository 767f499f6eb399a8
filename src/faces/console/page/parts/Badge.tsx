export type Tone = 'plain' | 'good' | 'warn' | 'bad' | 'info';

/** States that mean the same wherever they are met; all others are plain. */
const STATES: Partial<Record<Tone, string>> = {
  good: 'active, closed, counted, counts, delivered, live, now, restore, summed up, valid',
  warn: 'ignored, inactive, late, near, paused, platform, reverted, revised',
  bad: 'above, counts no more, dead letter, disabled, expired, no more, revoked, void',
  info: 'amend, filling, open, pending, staged, told, yours',
};
const TONES = Object.fromEntries(
  Object.entries(STATES).flatMap(([tone, states]) => states.split(', ').map((state) => [state, tone])),
);

/** A state in a word. The word says it, the colour only repeats it. */
export const Badge = ({ children, tone }: { children: string; tone?: Tone | undefined }) => (
  <span class={`badge ${tone ?? TONES[children]}`}>{children}</span>
);

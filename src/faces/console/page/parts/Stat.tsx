import type { ComponentChildren } from 'preact';

interface StatProps {
  label: string;
  value: ComponentChildren;
  /** What belongs to it, in small: a unit, a comparison, a sparkline. */
  sub?: ComponentChildren;
  tone?: 'plain' | 'warn' | 'bad' | undefined;
  children?: ComponentChildren;
}

/** A figure with its name. They stand in a <Stats>. */
export function Stat({ label, value, sub, tone = 'plain', children }: StatProps) {
  return (
    <div class={`stat ${tone}`}>
      <dt>{label}</dt>
      <dd>
        <b>{value}</b> {sub && <small>{sub}</small>}
        {children}
      </dd>
    </div>
  );
}

/** Figures side by side. */
export function Stats({ children }: { children: ComponentChildren }) {
  return <dl class="stats">{children}</dl>;
}

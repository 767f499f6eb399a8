import { useState } from 'preact/hooks';

export interface HeatCell {
  /** What it is: `12:03:30, revision 2`. */
  label: string;
  /** How strong; 0: nothing. */
  value: number;
  /** Not decided yet: hollow. */
  open?: boolean;
}

interface HeatStripProps {
  label: string;
  cells: readonly HeatCell[];
  /** Which one is chosen. */
  current?: number | undefined;
  onPick?: (index: number) => void;
}

/** Cells in a row, the stronger the darker, each a button. Tab comes to one of them, arrows go on from there. */
export function HeatStrip({ label, cells, current, onPick }: HeatStripProps) {
  const [focus, setFocus] = useState(0);
  const top = Math.max(1, ...cells.map(({ value }) => value));
  const reached = Math.min(current ?? focus, cells.length - 1);
  const move = (event: KeyboardEvent) => {
    const by = { ArrowRight: 1, ArrowLeft: -1, Home: -cells.length, End: cells.length }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    const all = (event.currentTarget as HTMLElement).querySelectorAll('button');
    const at = [...all].indexOf(document.activeElement as HTMLButtonElement);
    const next = Math.max(0, Math.min(all.length - 1, at + by));
    setFocus(next);
    all[next]?.focus();
  };
  return (
    <div class="heat" role="toolbar" aria-label={label} onKeyDown={move}>
      {cells.map((cell, i) => (
        <button
          type="button"
          class={cell.value > 0 ? 'some' : cell.open ? 'none open' : 'none'}
          style={{ '--strength': `${30 + (70 * cell.value) / top}%` }}
          title={cell.label}
          aria-label={cell.label}
          aria-pressed={i === current}
          tabIndex={i === reached ? 0 : -1}
          onClick={() => onPick?.(i)}
        />
      ))}
    </div>
  );
}

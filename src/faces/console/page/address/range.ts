import { useEffect, useMemo, useState } from 'preact/hooks';
import { isZone, localZone, spanMs } from '../format/times.ts';
import { usePlace } from './place.ts';

export interface Range {
  from: Date;
  to: Date;
  /** IANA name. */
  zone: string;
  /** The span up to now, `24h`; null where the range stands still. */
  span: string | null;
  /** For a question: ISO 8601. */
  params: { from: string; to: string };
}

/** The zone that the address names, else the browser's. */
export function useZone(): string {
  const named = usePlace().get('zone');
  return named !== null && isZone(named) ? named : localZone();
}

/**
 * The range that the address names.
 *
 * @param defaultSpan where it names none: `15m`, `24h`, `7d`.
 * @param everyMs how often a span's end is to move on to now.
 */
export function useRange(defaultSpan = '24h', everyMs?: number): Range {
  const place = usePlace();
  const zone = useZone();
  const [turn, setTurn] = useState(0);
  const [from, to] = [dated(place.get('from')), dated(place.get('to'))];
  const fixed = from !== null && to !== null && from < to;
  const named = place.get('range') ?? '';
  const span = fixed ? null : spanMs(named) === null ? defaultSpan : named;
  useEffect(() => {
    if (everyMs === undefined || span === null) return;
    const timer = setInterval(() => {
      if (!document.hidden) setTurn((n) => n + 1);
    }, everyMs);
    return () => clearInterval(timer);
  }, [everyMs, span]);
  // Of turn: a span ends at the moment at which it was last looked at.
  const end = useMemo(() => Math.ceil(Date.now() / 1_000) * 1_000, [span, turn, from?.getTime()]);
  const [start, stop] = fixed ? [from, to] : [new Date(end - spanMs(span!)!), new Date(end)];
  return {
    from: start,
    to: stop,
    zone,
    span,
    params: { from: start.toISOString(), to: stop.toISOString() },
  };
}

/** Years have four digits, in every zone: others no calendar here shows. */
function dated(text: string | null): Date | null {
  const date = new Date(text ?? Number.NaN);
  const year = date.getUTCFullYear();
  return year > 1_000 && year < 9_999 ? date : null;
}

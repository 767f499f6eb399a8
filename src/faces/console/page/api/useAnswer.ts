import { useEffect, useRef, useState } from 'preact/hooks';
import { ask, type Problem, type Question } from './request.ts';

export interface Answer<T> {
  data: T | null;
  /** Of the last try; data is then that of the last that succeeded. */
  problem: Problem | null;
  loading: boolean;
  /** When data came. */
  at: Date | null;
  reload(): void;
}

interface State {
  of: string;
  data: unknown;
  problem: Problem | null;
  at: Date | null;
}

/**
 * Asks, and asks again whenever the question is another one. While only its range moves, the last answer stays.
 *
 * @param question null: nothing to ask yet.
 * @param everyMs how long after an answer to ask again: later where the service says so, and not while nobody looks.
 * @param load what asks, where an answer is more than one.
 */
export function useAnswer<T>(
  question: Question | null,
  { everyMs, load = ask }: { everyMs?: number | undefined; load?: typeof ask<T> } = {},
): Answer<T> {
  const asked = question && JSON.stringify(question);
  const of = question ? JSON.stringify({ ...question, query: { ...question.query, from: 0, to: 0 } }) : '';
  const [state, setState] = useState<State | null>(null);
  const [loading, setLoading] = useState(true);
  const [turn, setTurn] = useState(0);
  const answered = useRef('');
  const run = `${turn} ${asked}`;
  useEffect(() => {
    if (asked === null) return;
    // It is only to be asked no more: what is shown stays.
    if (everyMs === undefined && answered.current === run) return setLoading(false);
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const { signal } = stop;
    const look = async () => {
      let waitMs = everyMs;
      if (!document.hidden) {
        setLoading(true);
        try {
          const data = await load(JSON.parse(asked), signal);
          answered.current = run;
          setState({ of, data, problem: null, at: new Date() });
        } catch (error) {
          if (signal.aborted) return;
          answered.current = '';
          const problem = error as Problem;
          if (everyMs !== undefined) waitMs = Math.max(everyMs, 1_000 * (problem.retryAfter ?? 0));
          setState((last) => {
            if (last?.of !== of) return { of, data: null, problem, at: null };
            // What goes wrong again is told once: it is read out wherever it changes.
            const { code, detail } = last.problem ?? {};
            return code === problem.code && detail === problem.detail ? last : { ...last, problem };
          });
        }
        if (signal.aborted) return;
        setLoading(false);
      }
      if (waitMs !== undefined || document.hidden) timer = setTimeout(look, waitMs ?? 1_000);
    };
    look();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [asked, everyMs, turn]);
  const { data, problem, at } = state?.of === of ? state : { data: null, problem: null, at: null };
  return {
    data: data as T | null,
    problem,
    at,
    loading: asked !== null && (loading || state?.of !== of),
    reload: () => setTurn((n) => n + 1),
  };
}

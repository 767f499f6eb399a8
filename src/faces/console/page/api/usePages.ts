import { useState } from 'preact/hooks';
import { ask, type Problem, type Question } from './request.ts';
import { type Answer, useAnswer } from './useAnswer.ts';

interface Page<T> {
  data: T[];
  nextCursor: string | null;
}

export interface Pages<T> {
  /** Of the first page: for a View. */
  answer: Answer<Page<T>>;
  rows: T[];
  /** Brings the next page; null on the last. */
  more: (() => void) | null;
  busy: boolean;
  problem: Problem | null;
}

/** A list of the API, page by page; the first is asked again as useAnswer does, and what follows then falls away. */
export function usePages<T>(
  question: Question | null,
  options: { everyMs?: number | undefined } = {},
): Pages<T> {
  const answer = useAnswer<Page<T>>(question, options);
  const [later, setLater] = useState<{ after: unknown; rows: T[]; next: string | null }>();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const first = answer.data;
  const follows = later?.after === first ? later : undefined;
  const next = follows ? follows.next : (first?.nextCursor ?? null);
  const more = async () => {
    setBusy(true);
    setProblem(null);
    try {
      const page = await ask<Page<T>>({ ...question!, query: { ...question!.query, cursor: next } });
      setLater({ after: first, rows: [...(follows?.rows ?? []), ...page.data], next: page.nextCursor });
    } catch (error) {
      setProblem(error as Problem);
    }
    setBusy(false);
  };
  return {
    answer,
    rows: [...(first?.data ?? []), ...(follows?.rows ?? [])],
    more: next === null ? null : () => void more(),
    busy,
    problem,
  };
}

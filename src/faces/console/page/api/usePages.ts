import { useState } from 'preact/hooks';
import { ask, type Problem, type Question } from './request.ts';
import { type Answer, useAnswer } from './useAnswer.ts';

interface Page<T> {
  data: T[];
  nextCursor: string | null;
}

export interface Pages<T> {
  /** For a View. */
  answer: Answer<Page<T>>;
  rows: T[];
  /** Brings the next page; null on the last. */
  more: (() => void) | null;
  busy: boolean;
  problem: Problem | null;
}

/**
 * A list of the API, page by page, which is asked for again as useAnswer does. Once it is gone on with it stands still:
 * where it is reloaded then, all of its pages are asked for.
 */
export function usePages<T>(
  question: Question | null,
  { everyMs }: { everyMs?: number | undefined } = {},
): Pages<T> {
  const asked = `${everyMs} ${JSON.stringify(question)}`;
  const [shown, show] = useState({ of: asked, pages: 1 });
  const pages = shown.of === asked ? shown.pages : 1;
  const answer = useAnswer<Page<T>>(question, {
    everyMs: pages === 1 ? everyMs : undefined,
    load: (first, signal) => pagesOf<T>(first, pages, signal),
  });
  const [later, setLater] = useState<{ after: unknown; rows: T[]; next: string | null }>();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const first = answer.data;
  const follows = later?.after === first ? later : undefined;
  const next = follows ? follows.next : (first?.nextCursor ?? null);
  const more = async () => {
    setBusy(true);
    setProblem(null);
    show({ of: asked, pages: pages + 1 });
    try {
      const page = await ask<Page<T>>(after(question!, next));
      setLater({ after: first, rows: [...(follows?.rows ?? []), ...page.data], next: page.nextCursor });
    } catch (error) {
      show({ of: asked, pages });
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

const after = (question: Question, cursor: string | null): Question => ({
  ...question,
  query: { ...question.query, cursor },
});

/** The first so many pages as one. */
async function pagesOf<T>(question: Question, pages: number, signal?: AbortSignal): Promise<Page<T>> {
  const whole = await ask<Page<T>>(question, signal);
  for (let n = 1; n < pages && whole.nextCursor !== null; n++) {
    const page = await ask<Page<T>>(after(question, whole.nextCursor), signal);
    whole.data.push(...page.data);
    whole.nextCursor = page.nextCursor;
  }
  return whole;
}

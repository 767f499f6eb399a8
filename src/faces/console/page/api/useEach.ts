import { useEffect, useState } from 'preact/hooks';
import { ask, type Question } from './request.ts';

const AT_ONCE = 4;

/**
 * Asks a question for each of a list, a few at a time, and shows each answer once it is there. One that is refused stays
 * out, and is said by whoever asks for it alone.
 *
 * @param key of the list: asked anew when it is another one.
 */
export function useEach<T>(questions: Record<string, Question>, key: string): ReadonlyMap<string, T> {
  const [answers, setAnswers] = useState<ReadonlyMap<string, T>>(new Map());
  const asked = Object.keys(questions).join(' ');
  useEffect(() => {
    const stop = new AbortController();
    const waiting = Object.entries(questions);
    const run = async () => {
      for (let next = waiting.shift(); next !== undefined && !stop.signal.aborted; next = waiting.shift()) {
        const [id, question] = next;
        const answer = await ask<T>(question, stop.signal).catch(() => undefined);
        if (answer !== undefined) setAnswers((all) => new Map(all).set(id, answer));
      }
    };
    for (let i = 0; i < AT_ONCE; i++) void run();
    return () => stop.abort();
  }, [asked, key]);
  return answers;
}

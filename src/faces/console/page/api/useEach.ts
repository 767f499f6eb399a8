import { useEffect, useState } from 'preact/hooks';
import { ask, type Problem, type Question } from './request.ts';

const AT_ONCE = 4;
/** How often one is asked again that the service is too busy for. */
const TRIES = 4;

/**
 * Asks a question for each of a list, a few at a time, and shows each answer once it is there. One that is refused stays
 * out, and is said by whoever asks for it alone; one that the service is too busy for is asked again.
 *
 * @param turn asked again when it is another one: when what lists them was answered.
 */
export function useEach<T>(questions: Record<string, Question>, turn?: Date | null): ReadonlyMap<string, T> {
  const [answers, setAnswers] = useState<ReadonlyMap<string, T>>(new Map());
  const asked = JSON.stringify(questions);
  useEffect(() => {
    const stop = new AbortController();
    const waiting = Object.entries(questions);
    setAnswers((all) => new Map([...all].filter(([id]) => id in questions)));
    const run = async () => {
      for (let next = waiting.shift(); next !== undefined && !stop.signal.aborted; next = waiting.shift()) {
        const [id, question] = next;
        const answer = await askPatiently<T>(question, stop.signal);
        if (answer !== undefined) setAnswers((all) => new Map(all).set(id, answer));
      }
    };
    for (let i = 0; i < AT_ONCE; i++) void run();
    return () => stop.abort();
  }, [asked, turn]);
  return answers;
}

/** @returns undefined where it is refused, or the service stays too busy. */
async function askPatiently<T>(question: Question, signal: AbortSignal): Promise<T | undefined> {
  for (let failed = 0; !signal.aborted; failed++) {
    try {
      return await ask<T>(question, signal);
    } catch (error) {
      const { status, retryAfter } = error as Problem;
      if (failed === TRIES || ![0, 429, 503].includes(status)) return undefined;
      await new Promise((done) => setTimeout(done, 1_000 * (retryAfter ?? 2 ** failed)));
    }
  }
  return undefined;
}

/** A question for each of some things, by what it is called by. */
export const eachOf = <Thing>(
  things: readonly Thing[],
  ask: (thing: Thing) => [id: string, question: Question],
): Record<string, Question> => Object.fromEntries(things.map(ask));

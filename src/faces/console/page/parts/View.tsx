import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import type { Question } from '../api/request.ts';
import type { Answer } from '../api/useAnswer.ts';
import { Age } from './Age.tsx';
import { CurlLine } from './CurlLine.tsx';
import { Fault } from './Fault.tsx';

interface ViewProps<T> {
  title: string;
  question?: Question | null | undefined;
  answer?: Answer<T> | undefined;
  /** Where it is not the answer's: when what is shown came. */
  at?: Date | null;
  actions?: ComponentChildren;
  class?: string;
  /** What is shown; of an answer, once it is there. */
  children: ComponentChildren | ((data: T) => ComponentChildren);
}

/** One question and its answer: what is shown, what went wrong, how old it is, and the curl line to ask it oneself. */
export function View<T>({ title, question, answer, at, actions, children, ...rest }: ViewProps<T>) {
  const id = useId();
  const age = at ?? answer?.at ?? null;
  const data = answer?.data;
  return (
    <section class={`view ${rest.class ?? ''}`} aria-labelledby={id} aria-busy={answer?.loading}>
      <header>
        <h2 id={id}>{title}</h2>
        {actions && <div class="row">{actions}</div>}
      </header>
      {answer?.problem && <Fault problem={answer.problem} onRetry={answer.reload} />}
      {typeof children !== 'function' ? (
        children
      ) : data != null ? (
        children(data)
      ) : answer?.problem ? null : (
        <p class="wait">Loading …</p>
      )}
      {(age !== null || question) && (
        <footer>
          <Age at={age} />
          {question && <CurlLine question={question} />}
        </footer>
      )}
    </section>
  );
}

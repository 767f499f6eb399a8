import type { ComponentChildren } from 'preact';
import type { Question } from '../api/request.ts';
import { CurlLine } from './CurlLine.tsx';

/** Says that there is nothing, and how there will be something. */
export function Empty({
  children,
  question,
}: {
  children: ComponentChildren;
  question?: Question | undefined;
}) {
  return (
    <div class="empty">
      <div>{children}</div>
      {question && <CurlLine question={question} />}
    </div>
  );
}

import { curlOf } from '../api/curl.ts';
import type { Question } from '../api/request.ts';
import { CodeLine } from './CodeLine.tsx';

/** The question as a command that a shell understands, to copy. */
export function CurlLine({ question, label = 'curl' }: { question: Question; label?: string }) {
  return <CodeLine line={curlOf(question)} {...{ label }} />;
}

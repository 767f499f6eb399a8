import { useState } from 'preact/hooks';
import { type Problem, type Question, send } from '../api/request.ts';
import { toast } from './Toast.tsx';

interface DownloadProps {
  /** Of the file: `usage.csv`. */
  name: string;
  /** Of a route that answers as CSV; all its pages go into the file. */
  question: Question;
}

/** Saves an answer as CSV. */
export function Download({ name, question }: DownloadProps) {
  const [busy, setBusy] = useState(false);
  const download = async () => {
    if (busy) return;
    setBusy(true);
    try {
      save(name, await allPages(question));
    } catch (error) {
      toast(`No ${name}: ${(error as Problem).message}`);
    }
    setBusy(false);
  };
  return (
    <button type="button" aria-disabled={busy} onClick={download}>
      {busy ? 'Downloading …' : 'CSV'}
    </button>
  );
}

async function allPages(question: Question): Promise<string> {
  let all = '';
  let cursor: string | null = null;
  do {
    const query = { ...question.query, cursor };
    const page: Response = await send({ ...question, query, headers: { Accept: 'text/csv' } });
    const text = await page.text();
    all += all === '' ? text : text.slice(text.indexOf('\n') + 1); // the head once
    cursor = page.headers.get('X-Next-Cursor');
  } while (cursor !== null);
  return all;
}

/** Saves something as a file. */
export function save(name: string, content: string | Blob): void {
  const url = URL.createObjectURL(new Blob([content], { type: 'text/csv' }));
  const link = Object.assign(document.createElement('a'), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

import { useState } from 'preact/hooks';
import type { Problem } from '../api/request.ts';
import { Fault } from '../parts/Fault.tsx';
import { Field } from '../parts/Field.tsx';

interface KeyFormProps {
  busy: boolean;
  problem: Problem | null;
  /** A key of before, which could not be asked about. */
  stored: string | null;
  onKey(key: string): void;
  onForget(): void;
}

/** Asks for a key, and says why the last one did not do. */
export function KeyForm({ busy, problem, stored, onKey, onForget }: KeyFormProps) {
  const [key, setKey] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    if (!busy && key.trim() !== '') onKey(key.trim());
  };
  return (
    <main class="gate">
      <h1>
        <Mark /> Tidemark
      </h1>
      {problem && <Fault problem={problem} title={titleOf(problem)} />}
      {stored !== null && problem?.status !== 401 ? (
        <p class="row" aria-busy={busy}>
          <button type="button" aria-disabled={busy} onClick={() => busy || onKey(stored)}>
            {busy ? 'Signing in …' : 'Try again'}
          </button>
          <button type="button" class="quiet" onClick={onForget}>
            Another key
          </button>
        </p>
      ) : (
        <form onSubmit={submit} aria-busy={busy}>
          <Field label="API key" hint="Kept in this tab until it is closed, and sent to this service only.">
            <input
              type="password"
              name="key"
              autocomplete="off"
              spellcheck={false}
              placeholder="tm_…"
              required
              value={key}
              onInput={({ currentTarget }) => setKey(currentTarget.value)}
            />
          </Field>
          <button type="submit" class="main" aria-disabled={busy}>
            {busy ? 'Signing in …' : 'Sign in'}
          </button>
        </form>
      )}
    </main>
  );
}

function titleOf({ status, code }: Problem): string {
  if (code === 'code_unknown' || code === 'code_spent') return 'This link is good no more';
  if (status === 401) return 'This key is not valid, or not any more';
  if (status === 0) return 'The service cannot be reached';
  return 'Signing in did not work';
}

/** The sign of the product. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 16 16" aria-hidden="true">
      <path d="M1 11q3.5-4 7 0t7 0M1 6q3.5-4 7 0t7 0" />
    </svg>
  );
}

import type { Problem } from '../api/request.ts';

interface FaultProps {
  problem: Problem;
  title?: string;
  /** Tries again. */
  onRetry?: (() => void) | undefined;
}

/** What went wrong: code, detail, each fault of what was sent, and the request's id for the log. */
export function Fault({ problem, title, onRetry }: FaultProps) {
  return (
    <div class="fault" role="alert">
      <p>
        <strong>{title ?? 'This did not work'}</strong> <code>{problem.code}</code>
        {onRetry && (
          <button type="button" class="quiet" onClick={onRetry}>
            Try again
          </button>
        )}
      </p>
      <p>{problem.detail}</p>
      {problem.errors.length > 0 && (
        <ul>
          {problem.errors.map(({ pointer, code, message }) => (
            <li>
              {pointer && <code>{pointer}</code>} {message} <code>{code}</code>
            </li>
          ))}
        </ul>
      )}
      {problem.requestId && (
        <p class="muted">
          Request <code>{problem.requestId}</code>
        </p>
      )}
    </div>
  );
}

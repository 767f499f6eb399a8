import type { Problem } from '../api/request.ts';

interface FaultProps {
  /** What the service said, or any other error. */
  problem: Problem | Error;
  title?: string;
  /** Tries again. */
  onRetry?: (() => void) | undefined;
}

/** What went wrong: code, detail, each fault of what was sent, and the request's id for the log. */
export function Fault({ problem, title, onRetry }: FaultProps) {
  const { name, message } = problem;
  const { code = name, detail = message, errors = [], requestId = null } = problem as Partial<Problem>;
  return (
    <div class="fault" role="alert">
      <p>
        <strong>{title ?? 'This did not work'}</strong> <code>{code}</code>
        {onRetry && (
          <button type="button" class="quiet" onClick={onRetry}>
            Try again
          </button>
        )}
      </p>
      <p>{detail}</p>
      {errors.length > 0 && (
        <ul>
          {errors.map(({ pointer, code, message }) => (
            <li>
              {pointer && <code>{pointer}</code>} {message} <code>{code}</code>
            </li>
          ))}
        </ul>
      )}
      {requestId && (
        <p class="muted">
          Request <code>{requestId}</code>
        </p>
      )}
    </div>
  );
}

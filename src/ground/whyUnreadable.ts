import { errorCode } from './db/sqlstate.ts';

const REASONS: Record<string, string> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'is a folder',
  EACCES: 'may not be read',
};

/** Why a file could not be read, in words that need no name of it. */
export function whyUnreadable(error: unknown): string {
  return REASONS[errorCode(error) ?? ''] ?? (error as Error).message;
}

import { StartupError } from '../../model/errors.ts';

const REASONS: Record<string, string> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space left on the device',
  EDQUOT: 'the disk quota is used up',
  ENOTDIR: 'there is a file where a folder should be',
  EEXIST: 'there is a file where a folder should be',
  EISDIR: 'there is a folder where a file should be',
  ENOENT: 'a part of the path does not exist',
  ELOOP: 'the path is a circle of links',
  ENAMETOOLONG: 'the path is too long',
  EIO: 'the device fails',
};

/**
 * What to throw when work in `folder` failed: the file system's refusals become a `StartupError` of one line,
 * everything else stays as it is.
 */
export function folderFault(folder: string, error: unknown): unknown {
  const { code, path } = error as NodeJS.ErrnoException;
  const reason = code === undefined ? undefined : REASONS[code];
  if (reason === undefined || error instanceof StartupError) return error;
  const at = path === undefined || path === folder ? '' : ` (${path})`;
  return new StartupError(`cannot use the folder ${folder}: ${reason}${at}`, { cause: error });
}

import { open, readFile, rename, rm } from 'node:fs/promises';
import type { z } from 'zod';
import { StartupError } from '../../model/errors.ts';

/** Replaces `path` by a file that only we may read (0600). Whole or not at all, also when the power fails. */
export async function writePrivate(path: string, value: unknown): Promise<void> {
  const unfinished = `${path}.${process.pid}`;
  try {
    const file = await open(unfinished, 'w', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(value, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}

/**
 * What `writePrivate` wrote; undefined when there is no file.
 *
 * @throws {StartupError} when its content is not what the schema says.
 */
export async function readPrivate<S extends z.ZodType>(
  path: string,
  schema: S,
): Promise<z.infer<S> | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new StartupError(`${path} is damaged: restore it, or delete it to have a new one made`, {
      cause: error,
    });
  }
}

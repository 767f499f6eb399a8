import { removeRunFolder, runFolder, sweepRunFolders } from '../../test/support/runFolder.ts';

/**
 * Does some work in a temporary folder. Afterwards, also when it fails, every server in the folder is ended and the
 * folder removed; what runs before have left that were killed goes first.
 */
export async function inWorkplace<Result>(work: (folder: string) => Promise<Result>): Promise<Result> {
  await sweepRunFolders();
  const folder = await runFolder();
  try {
    return await work(folder);
  } finally {
    await removeRunFolder(folder);
  }
}

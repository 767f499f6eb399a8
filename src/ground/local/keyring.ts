import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { folderFault } from './folderFault.ts';
import { readPrivate, writePrivate } from './privateFile.ts';

const key = z.string().regex(/^tm_[\w-]{43}$/);
const KEYRING = z.object({ adminKey: key, demoKey: key });

/** The keys of a development installation, kept between runs so that a saved command goes on working. */
export type Keyring = z.infer<typeof KEYRING>;

/**
 * The keys in `dataDir`, made with its first use; `keys.json` is readable by its owner only.
 *
 * @throws {StartupError} when the folder cannot be used or the file is damaged.
 */
export async function loadKeyring(dataDir: string): Promise<Keyring> {
  const path = join(dataDir, 'keys.json');
  try {
    const kept = await readPrivate(path, KEYRING);
    if (kept) return kept;
    const made = { adminKey: newKey(), demoKey: newKey() };
    await mkdir(dataDir, { recursive: true });
    await writePrivate(path, made);
    return made;
  } catch (error) {
    throw folderFault(dataDir, error);
  }
}

/** 256 random bits. */
function newKey(): string {
  return `tm_${randomBytes(32).toString('base64url')}`;
}

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { SEEDS } from '../../src/faces/seeds/readSeeds.ts';
import { SEED_FILES, type SeedFile } from '../../src/faces/seeds/seedFiles.ts';

/*
 * npm run docs:seeds: seeds/*.schema.json, by which editors check and complete the files, from the schemas that the
 * program checks them with. A test says when they are out of date.
 */

export const SEED_SCHEMAS = (Object.keys(SEED_FILES) as SeedFile[]).map((file) => ({
  file,
  path: join(SEEDS, file.replace(/json$/, 'schema.json')),
}));

/** The JSON Schema (2020-12) of what may be written into a file, without what holds between two of them. */
export function renderSeedSchema(file: SeedFile): object {
  return { title: `seeds/${file}`, ...z.toJSONSchema(SEED_FILES[file], { io: 'input' }) };
}

/** The same in a file that is there; undefined where there is none. */
export async function readSeedSchema(path: string): Promise<object | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : JSON.parse(text);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { file, path } of SEED_SCHEMAS)
    await writeFile(path, `${JSON.stringify(renderSeedSchema(file), null, 2)}\n`);
}

import { posix } from 'node:path';
import { VENDOR } from './consolePage.ts';

/** What a compiled module imports when it is loaded: `import … from`, `export … from`, `import '…'`; no `import(…)`. */
const IMPORTED = /^(?:import|export)\b[^'"();=]*['"]([^'"]+)['"]/gm;

/**
 * The modules that a browser loads before the first of them runs.
 *
 * @param entries paths of modules.
 * @param read the text of a module; undefined: there is none, and a browser would say so.
 * @returns paths, in the order in which they are found.
 */
export function moduleGraph(
  entries: readonly string[],
  read: (path: string) => string | undefined,
): string[] {
  const found = new Set(entries);
  for (const path of found) {
    for (const [, name] of (read(path) ?? '').matchAll(IMPORTED)) {
      const imported = name!.startsWith('.') ? posix.join(posix.dirname(path), name!) : VENDOR.get(name!);
      if (imported !== undefined) found.add(imported);
    }
  }
  return [...found].filter((path) => read(path) !== undefined);
}

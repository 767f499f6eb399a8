/** The modules of the embedded chart, each behind those that it calls. */
export const EMBED_MODULES = [
  ...['decimals', 'times', 'ask', 'figures', 'dom', 'chart', 'table', 'styles', 'element'],
].map((name) => `embed/${name}.js`);

const IMPORT = /^import [^;]*? from '\.\/([\w-]+)\.js';\n/gm;
const EXPORT = /^export (?=(?:async )?(?:function|class|const) )/gm;

/**
 * One script of modules that call only each other, by relative imports of names as they are: they share a scope that
 * nothing outside sees, so it may be loaded as a module and as a plain script.
 *
 * @param read the compiled module below the folder of the page; undefined: it is not there.
 * @returns null where one is not there.
 * @throws where a module is written in a way that cannot be joined: a fault of its author.
 */
export function embedScript(read: (path: string) => string | undefined): string | null {
  const known = new Set<string>();
  const parts: string[] = [];
  for (const path of EMBED_MODULES) {
    const source = read(path);
    if (source === undefined) return null;
    for (const [, name] of source.matchAll(IMPORT)) {
      if (!known.has(`embed/${name}.js`)) throw new Error(`${path} calls ${name}, which stands behind it`);
    }
    const joined = source.replace(IMPORT, '').replace(EXPORT, '').trim();
    const left = /^(?:import|export)\b.*/m.exec(joined);
    if (left) throw new Error(`${path} cannot be joined: ${left[0]}`);
    parts.push(joined);
    known.add(path);
  }
  return `(() => {\n'use strict';\n${parts.join('\n')}\n})();\n`;
}

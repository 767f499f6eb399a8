import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { minify } from 'terser';

/*
 * Makes of src/faces/console/page what browsers load: one script and one stylesheet without what only readers need, and
 * the element for pages of others as a script of its own. In files of one page each, all of them were a fifth larger.
 * esbuild joins them; terser calls locals by the same short names everywhere, and so they are 3 % smaller when they are
 * zipped. Run by `npm run build`.
 */

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const SOURCES = join(ROOT, 'src/faces/console/page');
const BUNDLED = join(ROOT, 'dist/faces/console/page');
const common = {
  absWorkingDir: ROOT,
  bundle: true,
  minify: true,
  target: 'es2022',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none', // the licences stand beside the files
  logLevel: 'warning',
  write: false,
} as const;

/** uPlot as it is published for browsers: 2 KB less, zipped, than what any minifier makes of its source. */
const { resolve } = createRequire(import.meta.url);
const uplot = readFileSync(join(dirname(resolve('uplot')), 'uPlot.iife.min.js'), 'utf8').replace(
  /^\/\*.*\n/,
  '',
);
const publishedUplot: Plugin = {
  name: 'uplot',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^uplot$/ }, () => ({ path: 'uPlot', namespace: 'published' }));
    onLoad({ filter: /./, namespace: 'published' }, () => ({ contents: 'export default uPlot' }));
  },
};

/** Writes what esbuild has made, its scripts minified once more. */
async function write(
  { outputFiles }: { outputFiles: { path: string; text: string }[] },
  begin = '',
): Promise<void> {
  for (const { path, text } of outputFiles) {
    const script = path.endsWith('.js');
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, script ? begin + (await minify(text, { module: true })).code : text);
  }
}

rmSync(BUNDLED, { recursive: true, force: true });
await write(
  await build({
    ...common,
    entryPoints: [join(SOURCES, 'main.tsx'), join(SOURCES, 'styles/console.css')],
    entryNames: '[name]',
    outdir: BUNDLED,
    format: 'esm',
    plugins: [publishedUplot],
  }),
  uplot,
);
await write(
  await build({
    ...common,
    entryPoints: [join(SOURCES, 'embed/element.ts')],
    outfile: join(BUNDLED, 'embed/embed.js'),
    format: 'iife', // so that it may be loaded as a module and as a plain script
  }),
);

mkdirSync(join(BUNDLED, 'licenses'));
for (const name of ['preact', 'uplot']) {
  const folder = dirname(dirname(resolve(name)));
  copyFileSync(join(folder, 'LICENSE'), join(BUNDLED, 'licenses', `${name}.txt`));
}

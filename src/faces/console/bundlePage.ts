import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/*
 * Makes of src/faces/console/page what browsers load: one script and one stylesheet without what only readers need, and
 * the element for pages of others as a script of its own. In files of one page each, all of them were a fifth larger.
 * Run by `npm run build`.
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
  legalComments: 'none', // the licence stands beside the files
  logLevel: 'warning',
} as const;

rmSync(BUNDLED, { recursive: true, force: true });
await build({
  ...common,
  entryPoints: [join(SOURCES, 'main.tsx'), join(SOURCES, 'styles/console.css')],
  entryNames: '[name]',
  outdir: BUNDLED,
  format: 'esm',
});
await build({
  ...common,
  entryPoints: [join(SOURCES, 'embed/element.ts')],
  outfile: join(BUNDLED, 'embed/embed.js'),
  format: 'iife', // so that it may be loaded as a module and as a plain script
});

const preact = dirname(dirname(createRequire(import.meta.url).resolve('preact')));
mkdirSync(join(BUNDLED, 'licenses'));
copyFileSync(join(preact, 'LICENSE'), join(BUNDLED, 'licenses/preact.txt'));

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/*
 * Puts what the console's page needs beside its compiled modules: the stylesheet, and the libraries of others, which it
 * calls by their bare names (the import map is in consolePage.ts). Run by `npm run build`, after the compiler.
 */

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const SOURCES = join(ROOT, 'src/faces/console/page');
const PAGE = join(ROOT, 'dist/faces/console/page');
const { resolve } = createRequire(import.meta.url);

mkdirSync(join(PAGE, 'styles'), { recursive: true });
copyFileSync(join(SOURCES, 'styles/console.css'), join(PAGE, 'styles/console.css'));

const vendor = join(PAGE, 'vendor');
mkdirSync(vendor, { recursive: true });
const preact = dirname(dirname(resolve('preact')));
copyModule(resolve('preact'), 'preact.js');
copyModule(resolve('preact/hooks'), 'hooks.js');
copyModule(resolve('preact/jsx-runtime'), 'jsx-runtime.js');
const uplot = dirname(resolve('uplot'));
// The ES module that it has is not minified, and twice as large.
copyModule(join(uplot, 'uPlot.iife.min.js'), 'uplot.js', '\nexport default uPlot;\n');
copyFileSync(join(uplot, 'uPlot.min.css'), join(vendor, 'uplot.css'));
copyFileSync(join(preact, 'LICENSE'), join(vendor, 'preact.LICENSE'));
copyFileSync(join(uplot, '../LICENSE'), join(vendor, 'uplot.LICENSE'));

/** Without the reference to a source map, which is not served. */
function copyModule(from: string, name: string, end = ''): void {
  const text = readFileSync(from, 'utf8').replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
  writeFileSync(join(vendor, name), text + end);
}

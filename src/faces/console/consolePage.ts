import { createHash } from 'node:crypto';

/** Where the files of the page are, for browsers. */
export const ASSETS_PATH = '/console/assets/';

/** What the page's modules call by name, and where it is. */
const IMPORTS = {
  preact: `${ASSETS_PATH}vendor/preact.js`,
  'preact/hooks': `${ASSETS_PATH}vendor/hooks.js`,
  'preact/jsx-runtime': `${ASSETS_PATH}vendor/jsx-runtime.js`,
  uplot: `${ASSETS_PATH}vendor/uplot.js`,
};

/** Bare names of modules, to the files that hold them, below ASSETS_PATH. */
export const VENDOR: ReadonlyMap<string, string> = new Map(
  Object.entries(IMPORTS).map(([name, path]) => [name, path.slice(ASSETS_PATH.length)]),
);

const IMPORT_MAP = JSON.stringify({ imports: IMPORTS });

/** The browser runs what is served from here and the import map above, and asks nobody else. */
export const CONSOLE_POLICY = [
  `default-src 'none'`,
  `script-src 'self' 'sha256-${createHash('sha256').update(IMPORT_MAP).digest('base64')}'`,
  `style-src 'self'`,
  `img-src 'self' data:`,
  `connect-src 'self'`,
  `base-uri 'none'`,
  `form-action 'none'`,
  `frame-ancestors 'none'`,
].join('; ');

const ICON =
  'data:image/svg+xml,' +
  encodeURIComponent(
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="M1 11q3.5-4 7 0t7 0M1 6q3.5-4 7 0t7 0" fill="none" stroke="#2a78c2" stroke-width="2" stroke-linecap="round"/></svg>`,
  );

/**
 * The one document of the console; its modules draw the page that the address names.
 *
 * @param modules files below ASSETS_PATH that it needs at once, so that the browser asks for all of them together.
 */
export function consolePage(modules: readonly string[]): string {
  const preloads = modules.map((file) => `  <link rel="modulepreload" href="${ASSETS_PATH}${file}">\n`);
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Tidemark</title>
  <link rel="icon" href="${ICON}">
  <link rel="stylesheet" href="${ASSETS_PATH}vendor/uplot.css">
  <link rel="stylesheet" href="${ASSETS_PATH}styles/console.css">
  <script type="importmap">${IMPORT_MAP}</script>
${preloads.join('')}  <script type="module" src="${ASSETS_PATH}main.js"></script>
</head>
<body>
  <div id="console"></div>
  <noscript>The console needs JavaScript. The API does not: see /docs.</noscript>
</body>
</html>
`;
}

/** Where the files of the page are, for browsers. */
const ASSETS_PATH = '/console/assets/';

/** The browser runs what is served from here, and asks nobody else. */
export const CONSOLE_POLICY = [
  `default-src 'none'`,
  `script-src 'self'`,
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

/** The one document of the console; its script draws the page that the address names. */
export const CONSOLE_PAGE = `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Tidemark</title>
  <link rel="icon" href="${ICON}">
  <link rel="stylesheet" href="${ASSETS_PATH}console.css">
  <script type="module" src="${ASSETS_PATH}main.js"></script>
</head>
<body>
  <div id="console"></div>
  <noscript>The console needs JavaScript. The API does not: see /docs.</noscript>
</body>
</html>
`;

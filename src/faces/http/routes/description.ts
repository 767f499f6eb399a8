import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { App } from '../appEnv.ts';
import type { Services } from '../services.ts';

/** swagger-ui-dist: the page and what it loads, served from here so that it works offline. */
const ASSETS = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
const ASSET_TYPES = new Map([
  ['swagger-ui.css', 'text/css; charset=utf-8'],
  ['swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
  ['favicon-32x32.png', 'image/png'],
]);

const PAGE = `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Tidemark API</title>
  <link rel="stylesheet" href="/docs/assets/swagger-ui.css">
  <link rel="icon" type="image/png" href="/docs/assets/favicon-32x32.png">
</head>
<body>
  <div id="api"></div>
  <script src="/docs/assets/swagger-ui-bundle.js"></script>
  <script src="/docs/init.js"></script>
</body>
</html>
`;

const INIT = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#api', deepLinking: true, tryItOutEnabled: true, validatorUrl: null });\n`;

/** Whatever the page tries, the browser loads nothing from elsewhere. */
const POLICY = [
  `default-src 'none'`,
  `script-src 'self'`,
  `connect-src 'self'`,
  `img-src 'self' data:`,
  `style-src 'self' 'unsafe-inline'`, // Swagger UI sets styles on elements
  `base-uri 'none'`,
  `form-action 'none'`,
  `frame-ancestors 'none'`,
].join('; ');

const INFO = {
  title: 'Tidemark',
  version: '1',
  description: 'Usage metering and event analytics: exact, durable, fast.',
  license: { name: 'Apache-2.0' },
};

/** `/openapi.json` and the page at `/docs`. */
export function descriptionRoutes(app: App, services: Pick<Services, 'zones'>): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'key', {
    type: 'http',
    scheme: 'bearer',
    description: 'A key: tm_…',
  });
  const described = documentOf(app, services);
  app.get('/openapi.json', async (c) =>
    c.body(await described(), 200, { 'Content-Type': 'application/json' }),
  );

  app.get('/docs', (c) => c.html(PAGE, 200, { 'Content-Security-Policy': POLICY }));
  app.get('/docs/init.js', (c) => c.body(INIT, 200, { 'Content-Type': 'text/javascript; charset=utf-8' }));
  app.get('/docs/assets/:asset', async (c) => {
    const type = ASSET_TYPES.get(c.req.param('asset'));
    if (type === undefined) return c.notFound();
    return c.body(new Uint8Array(await readFile(join(ASSETS, c.req.param('asset')))), 200, {
      'Content-Type': type,
    });
  });
}

/** The document as JSON. Made at most once a minute: it takes tens of ms, and its examples carry the present time. */
function documentOf(app: App, { zones }: Pick<Services, 'zones'>): () => Promise<string> {
  let json = '';
  let until = 0;
  return async () => {
    if (Date.now() >= until) {
      const info = { ...INFO, ...(await zoneRules(zones)) };
      json = JSON.stringify(app.getOpenAPI31Document({ openapi: '3.1.0', info }));
      until = Date.now() + 60_000;
    }
    return json;
  };
}

/** Which rules days and months end by. Left out while there is no database to ask: the rest is there without it. */
async function zoneRules(zones: Services['zones']) {
  try {
    const { release, missing } = await zones.rules();
    return { 'x-time-zone-rules': { release, lacking: missing.map(({ what }) => what) } };
  } catch {
    return {};
  }
}

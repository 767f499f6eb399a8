import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { API_PAGE, renderApiPage } from '../../docs/tools/apiPage.ts';

it('docs/api.md is what the service says of itself', async () => {
  const page = await readFile(API_PAGE, 'utf8');
  expect(page === (await renderApiPage()), 'docs/api.md is out of date: npm run docs:api').toBe(true);
});

it('has every route, each with what it answers and a line to try it', async () => {
  const page = await readFile(API_PAGE, 'utf8');
  const routes = page.split(/^### (?=(?:GET|POST|PUT|PATCH|DELETE) )/m).slice(1);
  expect(routes.length).toBeGreaterThan(30);
  for (const route of routes) {
    expect(route).toMatch(/```sh\ncurl -s /);
    expect(route).toMatch(/- \*\*2\d\d\*\* /);
    expect(route).not.toContain('undefined');
  }
});

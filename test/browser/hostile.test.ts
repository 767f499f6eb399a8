import { beforeAll, expect, it } from 'vitest';
import { describeConsole } from './support/describeConsole.ts';
import type { Tenant } from './support/site.ts';
import type { Visitor } from './support/visitor.ts';

const MINUTE = 60_000;
/** What a customer may be called by. */
const IDS = [
  'a/b//c',
  '100%',
  '%2F',
  '<img src=x onerror=alert(1)>',
  '?q=1#h&x',
  `it's "q" \\`,
  'שלום עולם',
  '\u202Emoc.live',
  '😀 日本',
  '__proto__',
  'x'.repeat(256),
];
/** Each scope by itself, and those that pages ask for together. */
const SCOPE_SETS = [['ingest'], ['read'], ['correct'], ['admin'], ['ingest', 'correct'], ['read', 'admin']];

describeConsole('the console, with what it is not used to', (console) => {
  let tenant: Tenant;
  beforeAll(async () => {
    const { site } = console;
    tenant = await site.tenant();
    const body = IDS.map((customerId, i) => ({
      eventId: `event/${i}%`,
      timestamp: new Date(Date.now() - (i + 1) * MINUTE).toISOString(),
      customerId,
      apiEndpoint: ['/x/<i>', 'constructor', '__proto__'][i % 3],
      value: ['99999999999999999999.123456789012345678', '-5.5', '0.000000000000000001'][i % 3],
      metadata: { model: ['toString', '<b>m</b>', '__proto__'][i % 3], gb: i % 2 ? '-3.25' : '1e30' },
    }));
    await site.call('POST', '/v1/events', { key: tenant.key, body });
    const meter = { slug: 'constructor', eventType: 'api.request', aggregation: 'sum', value: '$.gb' };
    const dimensions = { model: '$.model' };
    await site.call('POST', '/v1/meters', { key: tenant.key, body: { ...meter, dimensions } });
  });

  /** Whether what is shown is a page that works, and fits. */
  async function isWhole({ page }: Visitor, path: string): Promise<void> {
    await page.waitForFunction(
      () =>
        document.querySelector('main h1') && !document.querySelector('main [aria-busy="true"], main .wait'),
    );
    const seen = await page.evaluate(() => ({
      failed: document.body.innerText.includes('This page has failed'),
      wrong: /NaN|undefined|Infinity|Invalid Date|\[object/.exec(document.body.innerText)?.[0] ?? null,
      drawn: [...document.querySelectorAll('svg *')].some((one) =>
        [...one.attributes].some(({ value }) => /NaN|Infinity/.test(value)),
      ),
      wider: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      foreign: document.querySelectorAll('main img, main script, main iframe').length,
    }));
    expect([path, seen]).toEqual([path, { failed: false, wrong: null, drawn: false, wider: 0, foreign: 0 }]);
  }

  it('shows customers by any id, in lists, by themselves and at 380 px', async () => {
    const { site } = console;
    const visitor = await console.visit('/console/customers', { key: tenant.key });
    const { page } = visitor;
    page.on('dialog', () => expect.fail('an id was run'));
    await visitor.ready('Customers');
    const table = await visitor.table('Customers by what they use');
    expect(
      table
        .slice(1, -1)
        .map(([id]) => id)
        .sort(),
    ).toEqual([...IDS].sort());
    await isWhole(visitor, 'customers');
    for (const width of [1_280, 380]) {
      await page.setViewportSize({ width, height: 900 });
      for (const [i, id] of IDS.entries()) {
        await page.goto(`${site.address}/console/customers`);
        await page.getByRole('link', { name: id, exact: true }).click();
        await visitor.ready(id);
        expect(await visitor.stat('Calls')).toBe('1');
        await isWhole(visitor, id);
        if (width === 380) continue;
        await page.reload();
        await visitor.ready(id);
        await page.getByRole('link', { name: 'its events' }).click();
        await visitor.ready('Events');
        await page.getByRole('link', { name: `event/${i}%`, exact: true }).click();
        await page.getByRole('heading', { name: 'What meters make of it' }).waitFor();
        await isWhole(visitor, `events of ${id}`);
      }
    }
    for (const path of [
      'usage?by=customer&and=model&measure=value',
      'meters/constructor?by=model',
      'windows',
    ]) {
      await page.goto(`${site.address}/console/${path}`);
      await isWhole(visitor, path);
    }
  });

  it('takes an address for what there is, whatever it names, and asks for nothing else', async () => {
    const { site } = console;
    const visitor = await console.visit('/console/now', { key: tenant.key });
    const { page } = visitor;
    visitor.allow(/status of 40[04]/);
    await visitor.ready('Now');
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    for (const path of [
      ...['measure=constructor', 'by=toString&and=valueOf', 'granularity=xx', 'granularity=constructor'].map(
        (query) => `usage?${query}`,
      ),
      'usage?from=0001-01-01T00:00:00Z&to=0001-01-02T00:00:00Z&compare=1',
      'usage?from=2999-01-01T00:00:00Z&to=2999-01-02T00:00:00Z',
      'usage?from=yesterday&to=tomorrow&zone=Nowhere/Else',
      'usage?range=9999d&compare=1',
      'usage?from=2026-10-24T22:00:00Z&to=2026-10-26T22:00:00Z&zone=Europe/Berlin&compare=1&granularity=1h',
      'meters/constructor?granularity=zz&by=toString&f.model=(none)',
      'customers?tab=constructor&first=abc',
      'customers/100%25?tab=constructor&measure=toString',
      'events?event=nope&at=garbage&state=zz',
      'windows?tab=constructor&range=9999d',
      'windows?window=yesterday&of=x&asOf=garbage&rev=..',
      'windows?window=2026-11-30T00:00:00Z&of=x&asOf=garbage&rev=..',
      'deliveries/nope?state=zz&delivery=..%2F..%2Fkeys',
      'rules/nope?at=zz',
      'keys?tab=constructor',
      'audit?entry=nope&action=%00',
    ]) {
      await page.goto(`${site.address}/console/${path}`);
      await isWhole(visitor, path);
    }
    asked.length = 0;
    await page.goto(`${site.address}/console/deliveries/..%2Falert-rules?delivery=..%2F..%2F..%2Fkeys`);
    await isWhole(visitor, 'a path in the place of an id');
    const elsewhere = asked.filter(
      (path) => path.startsWith('/v1/') && !/^\/v1\/(keys\/self$|subscriptions\/)/.test(path),
    );
    expect(elsewhere).toEqual([]);
  });

  it('is whole again at another address, where a page has failed at one', async () => {
    const visitor = await console.visit('/console/usage', { key: tenant.key });
    const { page } = visitor;
    visitor.allow(/TypeError|error:/);
    await visitor.ready('Usage');
    await page.route('**/v1/usage?*', (route) => route.fulfill({ json: { data: [null] } }));
    await page.getByRole('combobox', { name: 'by', exact: true }).selectOption('model');
    await page.getByText('This page has failed').waitFor();
    await page.unroute('**/v1/usage?*');
    await page.goBack();
    await visitor.ready('Usage');
    expect(await visitor.stat('Calls')).toBe(String(IDS.length));
  });

  it.each(['tenant', 'platform'])('shows a key of a %s nothing that it may not ask for', async (whose) => {
    const { site } = console;
    for (const scopes of SCOPE_SETS) {
      const key = await site.key(whose === 'tenant' ? tenant.id : null, scopes);
      const query = whose === 'tenant' ? '' : `?tenant=${tenant.id}`;
      const visitor = await console.visit(`/console/customers/100%25${query}`, { key });
      const { page } = visitor;
      const refused: string[] = [];
      page.on('response', (answer) => {
        if ([401, 403].includes(answer.status())) refused.push(`${answer.url()} of ${page.url()}`);
      });
      await page.locator('main h1').waitFor();
      const links = page.getByRole('navigation', { name: 'Pages' }).getByRole('link');
      const pages = await links.evaluateAll((all) => all.map((one) => (one as HTMLAnchorElement).href));
      const tabs = page.getByRole('navigation', { name: 'Of the customer' }).getByRole('link');
      pages.push(...(await tabs.evaluateAll((all) => all.map((one) => (one as HTMLAnchorElement).href))));
      for (const href of pages) {
        await page.goto(href);
        await isWhole(visitor, href);
        if (!/\/rules/.test(href)) continue;
        await page.getByRole('button', { name: 'Make a rule' }).first().click();
        await page.getByRole('dialog').waitFor();
        await page.waitForLoadState('networkidle');
      }
      expect([scopes, refused]).toEqual([scopes, []]);
      if (pages.length === 0) await page.getByText('is done without the console').waitFor();
      await visitor.close();
    }
  });

  it('waits for as long as the service asks it to, and says once what is the matter', async () => {
    const visitor = await console.visit('/console/events', { key: tenant.key });
    const { page } = visitor;
    visitor.allow(/status of 429/);
    await visitor.ready('Events');
    let asked = 0;
    await page.route('**/v1/events?*', (route) => {
      asked++;
      return route.fulfill({
        status: 429,
        headers: { 'Retry-After': '60' },
        json: { code: 'rate_limited', detail: 'too many', requestId: 'r-1' },
      });
    });
    await page.clock.install();
    await page.reload();
    await page.getByRole('alert').getByText('rate_limited').waitFor();
    expect(await page.getByRole('alert').count()).toBe(1);
    await page.clock.fastForward(50_000);
    expect(asked).toBe(1);
    await page.unroute('**/v1/events?*');
    await page.clock.fastForward(12_000);
    await page.getByRole('alert').waitFor({ state: 'detached' });
    await visitor.ready('Events');
  });
});

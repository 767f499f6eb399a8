import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeConsole } from './support/describeConsole.ts';
import { Host } from './support/hostPage.ts';
import type { Site, Tenant } from './support/site.ts';
import type { Visitor } from './support/visitor.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MOST_BYTES = 15 * 1_024;

/** Two origins: the service lets pages of the first. */
const allowed = await Host.open();
const stranger = await Host.open();
afterAll(() => Promise.all([allowed.close(), stranger.close()]));

const text = (page: Page, selector: string) => page.locator(`tidemark-usage ${selector}`).innerText();

/** Rows of the table below the chart, head first. */
async function tableOf(page: Page): Promise<string[][]> {
  const details = page.locator('tidemark-usage details');
  await details.waitFor();
  if ((await details.getAttribute('open')) === null) await page.locator('tidemark-usage summary').click();
  return page
    .locator('tidemark-usage table')
    .evaluate((table: HTMLTableElement) =>
      [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent!.trim())),
    );
}

describeConsole(
  '<tidemark-usage> on pages of others',
  (console) => {
    let site: Site;
    let tenant: Tenant;
    let from: number;
    const script = () => `<script src="${site.address}/console/embed.js" defer></script>`;
    const strict = () =>
      [
        `default-src 'none'`,
        `script-src ${site.address}`,
        `connect-src ${site.address}`,
        `base-uri 'none'`,
        `require-trusted-types-for 'script'`,
        `trusted-types 'none'`,
      ].join('; ');
    const visitHost = (path: string, host = allowed, visit = {}): Promise<Visitor> =>
      console.visit(path, { ...visit, of: host as unknown as Site });
    const tokenOf = async (customerId: string, more = {}): Promise<{ id: string; token: string }> =>
      site.call('POST', '/v1/portal-tokens', { key: tenant.key, body: { customerId, ...more } });

    beforeAll(async () => {
      ({ site } = console);
      tenant = await site.tenant();
      from = Math.floor((Date.now() - 2 * DAY) / DAY) * DAY;
      const event = (customerId: string, i: number) => ({
        eventId: `${customerId}-${i}`,
        timestamp: new Date(from + i * 4 * HOUR).toISOString(),
        customerId,
        apiEndpoint: '/v1/chat',
        eventType: 'egress',
        metadata: {
          model: i % 2 ? 'small' : 'large',
          region: i % 3 ? 'eu' : 'us',
          gb: `${i + 1}.0000000000000000${i % 9}1`,
          inputTokens: 10 + i,
          outputTokens: 5,
        },
      });
      const body = ['alice', 'bob'].flatMap((name) => Array.from({ length: 12 }, (_, i) => event(name, i)));
      await site.call('POST', '/v1/events', { key: tenant.key, body });
      for (const [slug, aggregation] of [
        ['egress_gb', 'sum'],
        ['egress_peak', 'max'],
      ]) {
        const dimensions = { region: '$.region' };
        const meter = {
          slug,
          name: `Meter ${slug}`,
          eventType: 'egress',
          aggregation,
          value: '$.gb',
          dimensions,
        };
        await site.call('POST', '/v1/meters', { key: tenant.key, body: meter });
      }
    });

    it('is one file, small, and for pages of any origin', async () => {
      const answer = await fetch(`${site.address}/console/embed.js`, {
        headers: { origin: stranger.address },
      });
      expect(answer.status).toBe(200);
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        'content-type': 'text/javascript; charset=utf-8',
        'cross-origin-resource-policy': 'cross-origin',
        'access-control-allow-origin': '*',
        'cache-control': 'public, max-age=3600',
        etag: expect.any(String),
      });
      const body = await answer.text();
      expect(gzipSync(body, { level: 9 }).length).toBeLessThanOrEqual(MOST_BYTES);
      expect(body).not.toMatch(/\binnerHTML\b|\beval\b|^import |^export /m);
    });

    it('draws a meter to the last digit under a strict policy of its host', async () => {
      const { token } = await tokenOf('alice', { meters: ['egress_gb'] });
      allowed.page('/meter', {
        head: script(),
        policy: strict(),
        body: `<tidemark-usage token="${token}" meter="egress_gb" range="3d" granularity="1d" group-by="region"></tidemark-usage>`,
      });
      const { page } = await visitHost('/meter');
      const [head, ...rows] = await tableOf(page);
      expect(head).toEqual(['From', 'region', 'Value']);
      const stored = await site.rows(
        `select date_trunc('day', ts, 'UTC') as day, metadata->>'region' as region,
           sum((metadata->>'gb')::numeric)::text as gb
         from event where tenant_id = $1 and customer_id = 'alice' group by 1, 2 order by 1, 2`,
        [tenant.id],
      );
      expect(rows.map(([, ...cells]) => cells)).toEqual(stored.map(({ region, gb }) => [region, gb]));
      expect(rows).toHaveLength(4);
      const query = `from=${new Date(from).toISOString()}&customerId=alice`;
      const told = await site.call('GET', `/v1/meters/egress_gb/query?${query}`, { key: tenant.key });
      expect(await text(page, '[part=total]')).toBe(`Total ${told.data[0].value}`);
      expect(told.data[0].value.length).toBeGreaterThan(18);
      expect(await text(page, '[part=title]')).toBe('Meter egress_gb');
      expect(await page.locator('tidemark-usage svg rect').count()).toBe(4);
      const label = await page.locator('tidemark-usage svg').getAttribute('aria-label');
      expect(label).toContain(told.data[0].value);
      expect(await page.locator('tidemark-usage [part=legend] li').allInnerTexts()).toEqual(['eu', 'us']);
      // What is drawn has the sizes of what is told.
      const heights = await page
        .locator('tidemark-usage svg rect')
        .evaluateAll((bars) => bars.map((bar) => Number(bar.getAttribute('height'))));
      const values = stored.map(({ gb }) => Number(gb)).sort((a, b) => a - b);
      const drawn = heights.sort((a, b) => a - b);
      for (const [i, value] of values.entries()) {
        expect(drawn[i]! / drawn.at(-1)!).toBeCloseTo(value / values.at(-1)!, 6);
      }
    });

    it('is loaded as a module too, with a checksum, and draws usage and lines of what cannot be added', async () => {
      const { token } = await tokenOf('bob');
      const code = await (await fetch(`${site.address}/console/embed.js`)).text();
      const sum = createHash('sha256').update(code).digest('base64');
      allowed.page('/module', {
        head: `<script type="module" crossorigin integrity="sha256-${sum}" src="${site.address}/console/embed.js"></script>`,
        policy: strict(),
        body: `<tidemark-usage title="My tokens" token="${token}" measure="tokens" range="3d" granularity="1d" group-by="model"></tidemark-usage>`,
      });
      const { page } = await visitHost('/module');
      const [head, ...rows] = await tableOf(page);
      expect(head).toEqual(['From', 'model', 'Calls', 'Tokens']);
      const query = `from=${new Date(from).toISOString()}&customerId=bob&granularity=1d&groupBy=model`;
      const told = await site.call('GET', `/v1/usage?${query}`, { key: tenant.key });
      const points: { model: string; calls: number; tokens: number }[] = told.data;
      expect(rows.map(([, ...cells]) => cells)).toEqual(
        points.map(({ model, calls, tokens }) => [model, String(calls), String(tokens)]),
      );
      const [{ tokens }] = await site.rows(
        `select sum(input_tokens + output_tokens)::text as tokens
         from event where tenant_id = $1 and customer_id = 'bob'`,
        [tenant.id],
      );
      expect(await text(page, '[part=total]')).toBe(`Total ${tokens}`);
      expect(await text(page, '[part=title]')).toBe('My tokens');

      const element = page.locator('tidemark-usage');
      await element.evaluate((usage) => {
        usage.setAttribute('meter', 'egress_peak');
        usage.setAttribute('group-by', 'region');
        usage.removeAttribute('title');
      });
      await page.locator('tidemark-usage svg polyline').first().waitFor();
      expect(await text(page, '[part=title]')).toBe('Meter egress_peak');
      expect(await text(page, '[part=total]')).toMatch(/^Highest 12\.0/);
      expect(await page.locator('tidemark-usage svg polyline').count()).toBe(2);
      expect((await tableOf(page)).slice(1).map(([, region]) => region)).toEqual(
        (
          await site.call(
            'GET',
            `/v1/meters/egress_peak/query?from=${new Date(from).toISOString()}&customerId=bob&granularity=1d&groupBy=region`,
            { key: tenant.key },
          )
        ).data.map(({ dimensions }: { dimensions: { region: string } }) => dimensions.region),
      );
    });

    it('shows nothing on a page of an origin that is not let', async () => {
      const { token } = await tokenOf('alice');
      stranger.page('/stolen', {
        head: script(),
        body: `<tidemark-usage token="${token}" meter="egress_gb"></tidemark-usage>`,
      });
      const visitor = await visitHost('/stolen', stranger);
      visitor.allow(/blocked by CORS policy/, /Failed to load resource/);
      const { page } = visitor;
      await page.getByText('cannot be reached').waitFor();
      expect(await page.locator('tidemark-usage svg, tidemark-usage table').count()).toBe(0);
    });

    it('says that its token has expired, shows no more, and goes on with a new one', async () => {
      const first = await tokenOf('alice');
      allowed.answer('/token', async () => ({ type: 'text/plain', body: (await tokenOf('alice')).token }));
      allowed.answer('/host.js', {
        type: 'text/javascript',
        body: `document.addEventListener('tidemark-expired', async ({ target, detail }) => {
          document.body.dataset.expired = detail.code;
          if (target.hasAttribute('data-renew')) target.token = await (await fetch('/token')).text();
        });`,
      });
      const usage = (renew: string) =>
        `<tidemark-usage ${renew} token="${first.token}" meter="egress_gb" range="3d" refresh="5"></tidemark-usage>`;
      const head = `<script src="/host.js" defer></script>${script()}`;
      const policy = `default-src 'none'; script-src 'self' ${site.address}; connect-src 'self' ${site.address}`;
      allowed.page('/renews', { head, policy, body: usage('data-renew') });
      allowed.page('/does-not', { head, policy, body: usage('') });
      const renews = await visitHost('/renews');
      const doesNot = await visitHost('/does-not');
      for (const visitor of [renews, doesNot]) {
        visitor.allow(/401 \(Unauthorized\)/);
        await visitor.page.locator('tidemark-usage svg').waitFor();
      }
      await site.rows('update portal_token set expires_at = now() where id = $1', [first.id]);

      await doesNot.page.getByText('This view has expired.').waitFor();
      expect(await doesNot.page.locator('body').getAttribute('data-expired')).toBe('token_expired');
      expect(await doesNot.page.locator('tidemark-usage svg, tidemark-usage table').count()).toBe(0);
      await renews.page.locator('body[data-expired="token_expired"]').waitFor();
      await renews.page.locator('tidemark-usage svg').waitFor();
      expect(await renews.page.getByText('This view has expired.').count()).toBe(0);

      const revoked = await tokenOf('alice');
      await site.call('DELETE', `/v1/portal-tokens/${revoked.id}`, { key: tenant.key });
      await doesNot.page
        .locator('tidemark-usage')
        .evaluate((element, token) => element.setAttribute('token', token), revoked.token);
      await doesNot.page.locator('body[data-expired="token_revoked"]').waitFor();
      // What it may not read is the same as what there is not.
      const { token } = await tokenOf('alice', { meters: ['egress_peak'] });
      doesNot.allow(/404 \(Not Found\)/);
      await doesNot.page
        .locator('tidemark-usage')
        .evaluate((element, given) => element.setAttribute('token', given), token);
      await doesNot.page.getByText('There is nothing to show here.').waitFor();
    });

    it('shows what comes in, and leaves the keyboard where it is', async () => {
      const { token } = await tokenOf('carol');
      allowed.page('/live', {
        head: script(),
        policy: strict(),
        body: `<tidemark-usage token="${token}" range="2h" refresh="5"></tidemark-usage>`,
      });
      const { page } = await visitHost('/live');
      await page.getByText('Nothing in this time.').waitFor();
      expect(await text(page, '[part=total]')).toBe('Total 0');
      const post = (eventId: string) =>
        site.call('POST', '/v1/events', {
          key: tenant.key,
          body: { eventId, timestamp: new Date().toISOString(), customerId: 'carol', eventType: 'x' },
        });
      await post('carol-1');
      await page.locator('tidemark-usage [part=total]', { hasText: 'Total 1' }).waitFor();
      await page.locator('tidemark-usage summary').focus();
      await page.keyboard.press('Enter');
      await page.keyboard.press('Tab');
      const focused = () =>
        page.evaluate(() => document.activeElement?.shadowRoot?.activeElement?.getAttribute('role'));
      expect(await focused()).toBe('region');
      await post('carol-2');
      await page.locator('tidemark-usage [part=total]', { hasText: 'Total 2' }).waitFor();
      expect(await focused()).toBe('region');
      expect(await page.locator('tidemark-usage details').getAttribute('open')).toBe('');
    });

    it('is legible light, dark and narrow, and takes the colours of its host', async () => {
      const { token } = await tokenOf('alice');
      const colours = '--tidemark-accent: rgb(1, 2, 3); --tidemark-text: rgb(20, 0, 0)';
      allowed.page('/look', {
        head: script(),
        body: `<tidemark-usage token="${token}" meter="egress_gb" range="3d" group-by="region"></tidemark-usage>
          <tidemark-usage id="own" style="${colours}" theme="light" token="${token}" range="3d"></tidemark-usage>`,
      });
      const visitor = await visitHost('/look');
      const { page } = visitor;
      for (const i of [0, 1]) {
        await page.locator('tidemark-usage svg').nth(i).waitFor();
        await page.locator('tidemark-usage summary').nth(i).click();
      }
      await visitor.isAccessible();
      await visitor.fits();
      const style = (selector: string, property: string) =>
        page
          .locator(`#own ${selector}`)
          .first()
          .evaluate((element, name) => getComputedStyle(element).getPropertyValue(name), property);
      await expect.poll(() => style('rect', 'fill')).toBe('rgb(1, 2, 3)'); // one that is drawn again meanwhile has none
      expect(await style('figure', 'color')).toBe('rgb(20, 0, 0)');
      const background = () =>
        page
          .locator('tidemark-usage figure')
          .first()
          .evaluate((figure) => getComputedStyle(figure).backgroundColor);
      expect(await background()).toBe('rgb(255, 255, 255)');
      await page.emulateMedia({ colorScheme: 'dark' });
      expect(await background()).toBe('rgb(21, 24, 28)');
      expect(await style('figure', 'background-color')).toBe('rgb(255, 255, 255)');
    });

    it('says what an author has got wrong', async () => {
      const { token } = await tokenOf('alice');
      allowed.page('/wrong', {
        head: script(),
        body: `<tidemark-usage token="${token}" range="fortnight"></tidemark-usage>
          <tidemark-usage token="${token}" measure="love"></tidemark-usage>
          <tidemark-usage token="${token}" granularity="2h"></tidemark-usage>
          <tidemark-usage token="${token}" timezone="Nowhere"></tidemark-usage>
          <tidemark-usage></tidemark-usage>`,
      });
      const visitor = await visitHost('/wrong');
      visitor.allow(/400 \(Bad Request\)/);
      const said = visitor.page.locator('tidemark-usage [part=message]');
      for (const [i, expected] of [
        /range "fortnight" is not one/,
        /measure "love" is none of calls/,
        /granularity/,
        /Nowhere/,
        /nothing to show yet/,
      ].entries()) {
        await said.nth(i).filter({ hasText: expected }).waitFor();
      }
    });
  },
  { CORS_ORIGINS: allowed.address, CONSOLE: 'false' },
);

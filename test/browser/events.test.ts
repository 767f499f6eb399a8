import { expect, it } from 'vitest';
import { describeConsole } from './support/describeConsole.ts';
import type { Site, Tenant } from './support/site.ts';
import { postTraffic } from './support/traffic.ts';
import type { Visitor } from './support/visitor.ts';

const EVENTS = 'Events, newest first';
const MINUTE = 60_000;

/** Posts one event as it is written, ten minutes ago: its numbers are not to pass through doubles. */
async function postRaw(site: Site, { key }: Tenant, eventId: string, more: string): Promise<string> {
  const timestamp = new Date(Date.now() - 10 * MINUTE).toISOString();
  const answer = await fetch(`${site.address}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: `{"eventId":${JSON.stringify(eventId)},"timestamp":"${timestamp}","customerId":"acme","apiEndpoint":"/v1/chat",${more}}`,
  });
  expect(answer.status).toBe(200);
  return timestamp;
}

const windowOf = (timestamp: string) =>
  new Date(Math.floor(Date.parse(timestamp) / 30_000) * 30_000).toISOString();

/** Does what a dialog of a correction asks for. */
async function correct({ page }: Visitor, kind: string, reason: string): Promise<void> {
  await page.getByRole('button', { name: `${kind} …` }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Reason').fill(reason);
  await dialog.getByRole('button', { name: `${kind} it` }).click();
  await dialog.waitFor({ state: 'detached' });
  await page.getByRole('status').getByText('Done:').waitFor();
}

describeConsole('the events of the console', (console) => {
  it('are those of the API and of the database, newest first', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    await postTraffic(site, tenant, { minutes: 60 });
    const visitor = await console.visit('/console/events?paused=1', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Events');
    const shown = await visitor.table(EVENTS);
    const { data } = await site.call('GET', '/v1/events', { key: tenant.key });
    expect(shown.slice(1).map((row) => [row[2], row[1], row[4], row[5]])).toEqual(
      // biome-ignore lint/suspicious/noExplicitAny: as served
      data.map((event: any) => [event.customerId, event.eventId, String(event.metadata.tokens), event.value]),
    );
    await page.getByRole('button', { name: 'Show more' }).click();
    await expect.poll(async () => (await visitor.table(EVENTS)).length).toBe(201);
    await page.getByRole('button', { name: 'Show more' }).click();
    await page.getByText('300 shown, all there are').waitFor();
    const stored = await site.rows(
      `select to_char(ts at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS') as ts, customer_id, external_id, tokens::text, value::text
       from event where tenant_id = $1 order by ts desc, event_id desc`,
      [tenant.id],
    );
    expect(
      (await visitor.table(EVENTS)).slice(1).map((row) => [row[0], row[2], row[1], row[4], row[5]]),
    ).toEqual(stored.map((row) => [row.ts, row.customer_id, row.external_id, row.tokens, row.value]));
    await visitor.isAccessible();
    await visitor.fits();
  });

  it('move on with what comes in, in at most a hundred rows, until they are paused', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    await postTraffic(site, tenant, { minutes: 30 });
    const visitor = await console.visit('/console/events', { key: tenant.key });
    const { page } = visitor;
    await page.clock.install();
    await page.reload();
    await visitor.ready('Events');
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    const post = (eventId: string) =>
      site.call('POST', '/v1/events', {
        key: tenant.key,
        body: { eventId, timestamp: new Date().toISOString(), customerId: 'acme', apiEndpoint: '/x' },
      });
    const first = async () => (await visitor.table(EVENTS))[1]![1];
    await post('comes-in');
    await expect.poll(first, { timeout: 90_000 }).toBe('comes-in');
    expect(await visitor.table(EVENTS)).toHaveLength(101);
    await page.getByText('The newest 100').waitFor();
    expect(asked.length).toBeGreaterThan(0);

    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('paused', { exact: true }).waitFor();
    expect(page.url()).toContain('paused=1');
    asked.length = 0;
    await post('comes-later');
    await page.clock.fastForward(10 * MINUTE);
    expect([await first(), asked]).toEqual(['comes-in', []]);
    await page.getByRole('button', { name: 'Show more' }).click();
    await page.getByText('all there are').waitFor();
    await page.getByRole('button', { name: 'Go on' }).click();
    await expect.poll(first, { timeout: 90_000 }).toBe('comes-later');
    expect(await visitor.table(EVENTS)).toHaveLength(101);
  });

  it('are looked for by customer, type, reference, state and id, which stay in the address', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const at = Date.now() - 10 * MINUTE;
    const body = ['a', 'b', 'c', 'd'].map((eventId, i) => ({
      eventId,
      timestamp: new Date(at - i * 1_000).toISOString(),
      customerId: i < 2 ? 'one' : 'other',
      eventType: i === 1 ? 'order.line' : 'api.request',
      apiEndpoint: '/x',
      reference: i === 2 ? 'order-17' : 'order-18',
      value: '1',
    }));
    await site.call('POST', '/v1/events', { key: tenant.key, body });
    await site.call('POST', '/v1/events/void', { key: tenant.key, body: { reason: 'twice', ids: ['d'] } });
    const visitor = await console.visit('/console/events', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Events');
    const ids = async () => (await visitor.table(EVENTS)).slice(1).map((row) => row[1]);
    expect(await ids()).toEqual(['a', 'b', 'c', 'd void']);
    const look = async (label: string, value: string) => {
      await page.getByLabel(label, { exact: true }).fill(value);
      await page.getByLabel(label, { exact: true }).blur();
    };
    // Typed slowly, while the list moves on.
    const customer = page.getByLabel('Customer', { exact: true });
    await customer.pressSequentially('on');
    for (let n = 0; n < 2; n++) {
      await page.waitForResponse((answer) => answer.url().includes('/v1/events?'));
    }
    await customer.pressSequentially('e');
    await customer.press('Enter');
    await expect.poll(ids).toEqual(['a', 'b']);
    await look('Type', 'order.line');
    await expect.poll(ids).toEqual(['b']);
    await page.goBack();
    await expect.poll(ids).toEqual(['a', 'b']);
    await look('Customer', '');
    await look('Reference', 'order-17');
    await expect.poll(ids).toEqual(['c']);
    expect(page.url()).toContain('reference=order-17');
    await look('Reference', '');
    await page.getByRole('combobox', { name: 'Those' }).selectOption('voided');
    await expect.poll(ids).toEqual(['d void']);
    await page.getByRole('combobox', { name: 'Those' }).selectOption('counted');
    await expect.poll(ids).toEqual(['a', 'b', 'c']);
    await look('Reference', 'nothing');
    await page.getByText('No such events in this range.').waitFor();
    await look('Id', 'b');
    await page
      .getByRole('region', { name: 'Event b', exact: true })
      .getByRole('link', { name: 'order.line' })
      .waitFor();
    visitor.allow(/status of 404/);
    await look('Id', 'unheard of');
    await page.getByRole('alert').getByText('not_found').waitFor();
    expect(await page.getByRole('alert').innerText()).toMatch(/Request [0-9a-f-]{36}/);
  });

  it('says how there will be some, where there are none', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const visitor = await console.visit('/console/events', { key: tenant.key });
    await visitor.ready('Events');
    const line = (await visitor.page.locator('.empty .curl code').textContent())!;
    const body = /-d '([^']+)'/.exec(line)![1]!;
    await site.call('POST', '/v1/events', { key: tenant.key, body: JSON.parse(body) });
    await expect.poll(async () => (await visitor.table(EVENTS))[1]?.[1]).toBe('my-first-event');
  });

  it('are shown with all digits, with what meters make of them, and as they were', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    for (const [slug, value] of [
      ['spend', '$.value'],
      ['missing', '$.nowhere'],
    ]) {
      const body = { slug, eventType: 'api.request', aggregation: 'sum', value };
      await site.call('POST', '/v1/meters', { key: tenant.key, body });
    }
    const id = 'order 17/line?2';
    const timestamp = await postRaw(
      site,
      tenant,
      id,
      '"value":"12.345678901234567890","unit":"EUR","metadata":{"exact":12345678901234567890.50,"text":"a \\" 1.50"}',
    );
    const visitor = await console.visit('/console/events?paused=1', { key: tenant.key });
    const { page } = visitor;
    await page.getByRole('link', { name: id, exact: true }).click();
    const event = page.getByRole('region', { name: `Event ${id}`, exact: true });
    await event.getByText('12.34567890123456789 EUR').waitFor();
    const json = await event.getByRole('region', { name: 'The event as JSON' }).innerText();
    expect(json).toContain('"exact": 12345678901234567890.50');
    expect(json).toContain('"text": "a \\" 1.50"');
    expect(await visitor.table('Meters')).toEqual([
      ['Meter', 'Verdict', 'Value', 'Dimensions'],
      ['missing', 'ignored missing', '–', ''],
      ['spend', 'counted', '12.34567890123456789', ''],
    ]);
    await visitor.isAccessible();
    await visitor.fits();

    // Another version, of which only one digit is another, and the others stay.
    await page.getByRole('button', { name: 'Amend …' }).click();
    const text = page.getByLabel('The event from now on');
    await text.fill('{');
    await page.getByText('This is not JSON.').waitFor();
    const document = json
      .replace(/"(tenantId|receivedAt)": .*\n/g, '')
      .replace('12.34567890123456789"', '12.34567890123456788"');
    await text.fill(document);
    await page.getByRole('dialog').getByText('"12.34567890123456788"').first().waitFor();
    await visitor.isAccessible();
    await page.getByLabel('Reason').fill('the last digit');
    await page.getByRole('button', { name: 'Amend it' }).click();
    await page.getByRole('status').getByText('1 event amended').waitFor();
    const stored = await site.rows('select value::text, metadata::text from event where tenant_id = $1', [
      tenant.id,
    ]);
    expect(stored[0].value).toMatch(/^12\.34567890123456788/);
    expect(stored[0].metadata).toContain('12345678901234567890.50');
    expect(await visitor.table('Versions')).toEqual([
      ['Version', 'State', 'What is different'],
      ['1', 'replaced', 'as it was posted'],
      ['2', 'counts', 'value: "12.34567890123456789" → "12.34567890123456788"'],
    ]);
    const meter = `/v1/meters/spend/query?from=${windowOf(timestamp)}`;
    const { data } = await site.call('GET', meter, { key: tenant.key });
    expect(data[0].value).toBe('12.34567890123456788');
    await expect.poll(async () => (await visitor.table('Meters'))[2]?.[2]).toBe('12.34567890123456788');
  });

  it('become void, and count again: the window says so, and so does the database', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    const timestamp = await postRaw(site, tenant, 'twice', '"value":"13.50","metadata":{"tokens":1200}');
    await postRaw(site, tenant, 'once', '"value":"0.25","metadata":{"tokens":5}');
    const visitor = await console.visit('/console/events?event=twice', { key: tenant.key });
    const { page } = visitor;
    await visitor.ready('Events');
    const before = await site.rows(
      'select coalesce(max(revision), 0)::int as n from window_revision where tenant_id = $1 and bucket = $2',
      [tenant.id, windowOf(timestamp)],
    );
    await page.getByRole('button', { name: 'Void …' }).click();
    const dialog = page.getByRole('dialog');
    expect(await dialog.innerText()).toMatch(
      /of acme gets a revision more: −1 call, −1,200 tokens, −13\.5 value/,
    );
    await visitor.isAccessible();
    await dialog.getByRole('button', { name: 'Void it' }).click(); // no reason: the browser asks for one
    expect(await dialog.isVisible()).toBe(true);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    await correct(visitor, 'Void', 'ticket 4711: sent twice');
    const uncounted = await site.rows(
      `select u.external_id, u.state, c.reason, c.kind from uncounted_event u join correction c on c.id = u.correction_id
       where u.tenant_id = $1`,
      [tenant.id],
    );
    expect(uncounted).toEqual([
      { external_id: 'twice', state: 'voided', reason: 'ticket 4711: sent twice', kind: 'void' },
    ]);
    const done = await visitor.table('What was done to it');
    expect(done[1]).toEqual([
      expect.any(String),
      'void',
      expect.stringContaining('ticket 4711: sent twice key '),
    ]);

    await page.getByRole('status').getByRole('link').click();
    await visitor.ready('Window');
    const { data } = await site.call(
      'GET',
      `/v1/windows?customerId=acme&from=${windowOf(timestamp)}&digest=true`,
      {
        key: tenant.key,
      },
    );
    const [window] = data;
    expect(window.revision).toBe(before[0].n + 1);
    expect(await visitor.stat('Tokens')).toBe(String(window.aggregations.totalTokens));
    const history = await visitor.table('Revisions of this window');
    const last = history.at(-1)!;
    expect([last[0], last[1], last[4]]).toEqual([
      String(window.revision),
      'void',
      `−1 ${window.aggregations.totalCalls}`,
    ]);
    expect(last[8]).toBe(`−13.5 ${window.digest.value}`);
    await page.getByRole('link', { name: `Events of revision ${window.revision}` }).click();
    expect(await visitor.table('Events of the revision')).toEqual([
      ['Event', 'From then on'],
      ['twice', 'counts no more'],
    ]);
    await page
      .getByRole('region', { name: `Events of revision ${window.revision}` })
      .getByRole('link')
      .first()
      .click();
    await visitor.ready('Events');
    await correct(visitor, 'Restore', 'they had ordered two');
    const [{ n }] = await site.rows('select count(*)::int as n from event where tenant_id = $1', [tenant.id]);
    expect(n).toBe(2);
    expect((await visitor.table('What was done to it')).map((row) => row[1])).toEqual([
      'What',
      'void',
      'restore',
    ]);
    const after = await site.rows(
      'select max(revision)::int as n from window_revision where tenant_id = $1 and bucket = $2',
      [tenant.id, windowOf(timestamp)],
    );
    expect(after[0].n).toBe(window.revision + 1);
  });

  it('a refusal stays in the dialog, with its code and the id of the request', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    await postRaw(site, tenant, 'x', '"value":"1"');
    const visitor = await console.visit('/console/events?event=x', { key: tenant.key });
    const { page } = visitor;
    await page.getByRole('button', { name: 'Void …' }).click();
    await site.call('POST', '/v1/events/void', { key: tenant.key, body: { reason: 'before', ids: ['x'] } });
    visitor.allow(/status of 409/);
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason').fill('too late');
    await page.keyboard.press('Enter');
    await dialog.getByRole('alert').getByText('event_voided').first().waitFor();
    expect(await dialog.getByRole('alert').innerText()).toMatch(/Request [0-9a-f-]{36}/);
  });

  it('are not to be corrected with a key that may not', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    await postRaw(site, tenant, 'x', '"value":"1"');
    const key = await site.key(tenant.id, ['read']);
    const visitor = await console.visit('/console/events?event=x', { key });
    await visitor.ready('Events');
    await visitor.page
      .getByRole('region', { name: 'Event x', exact: true })
      .getByText('/v1/chat')
      .first()
      .waitFor();
    expect(await visitor.page.getByRole('button', { name: /Void|Amend|Restore/ }).count()).toBe(0);
  });

  it('can be looked through and corrected with keys alone, at 380 px', async () => {
    const { site } = console;
    const tenant = await site.tenant();
    await postRaw(site, tenant, 'x', '"value":"1"');
    const visitor = await console.visit('/console/events?paused=1', { key: tenant.key, width: 380 });
    const { page } = visitor;
    await visitor.ready('Events');
    await page.getByRole('link', { name: 'x', exact: true }).focus();
    await page.keyboard.press('Enter');
    const event = page.getByRole('region', { name: 'Event x', exact: true });
    await event.getByText('/v1/chat').first().waitFor();
    expect(await event.evaluate((shown) => shown === document.activeElement)).toBe(true);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByLabel('Reason').fill('by keys');
    await visitor.fits();
    await page.keyboard.press('Enter');
    await page.getByRole('status').getByText('event counts no more').waitFor();
    await visitor.isAccessible();
  });
});

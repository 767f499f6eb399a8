import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../support/database.ts';
import { runFolder } from '../support/runFolder.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { anEvent, type ClientEvent } from '../support/traffic.ts';
import { runCommandHere } from './support/commandHere.ts';

const iso = (ms: number) => new Date(ms).toISOString();

describeEngine('commands that correct events', () => {
  let t: TestService;
  let folder: string;
  beforeAll(async () => {
    t = await startTestService();
    folder = await mkdtemp(join(await runFolder(), 'correct-'));
  });
  afterAll(async () => {
    await t.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const run = (tenant: string, args: string[], env: Record<string, string> = {}) =>
    runCommandHere(
      [...args, '--tenant', tenant, ...(args.includes('--reason') ? [] : ['--reason', 'ticket 4711'])],
      {
        TIDEMARK_PROFILE: 'test',
        DATABASE_URL: t.database.url,
        DATA_DIR: join(folder, 'data'),
        ...env,
      },
    );
  const file = async (text: string | Buffer) => {
    const path = join(folder, `${randomUUID()}.txt`);
    await writeFile(path, text);
    return path;
  };
  const stored = async (count: number, more: Partial<ClientEvent> = {}) => {
    const { id, key } = await t.tenant();
    const events = Array.from({ length: count }, () => anEvent({ timestamp: iso(Date.now()), ...more }));
    const answer = await t.call('POST', '/v1/events', { key, body: events });
    expect(answer.body).toMatchObject({ accepted: count });
    return { id, key, events, ids: events.map(({ eventId }) => eventId) };
  };
  const callsOf = async (key: string) => {
    const { body } = await t.call('GET', `/v1/usage?granularity=1d&to=${iso(Date.now() + 86_400_000)}`, {
      key,
    });
    return body.data.reduce((sum: number, { calls }: { calls: number }) => sum + calls, 0);
  };
  const liveCalls = async (key: string) => {
    const { body } = await t.call('GET', '/v1/live', { key });
    return body.current.totalCalls + body.previous.totalCalls;
  };

  it('void and restore events by arguments, beside a service whose live counters are in its memory', async () => {
    const { id, key, ids } = await stored(3);
    const { code, out, err } = await run(id, ['void', ids[0]!, 'nobody', ids[1]!]);
    expect({ code, lines: out.split('\n').map((line) => line.split(/ {2,}/)) }).toEqual({
      code: 1,
      lines: [['event', 'outcome'], [ids[0], 'done'], ['nobody', 'unknown'], [ids[1], 'done'], ['']],
    });
    expect(err).toMatch(
      /^events: done 2, unknown 1, refused 0, untouched 0; transactions 1, windows changed \d\n$/,
    );
    expect([await callsOf(key), await liveCalls(key)]).toEqual([1, 1]);
    const log = await t.call('GET', '/v1/audit-log', { key });
    expect(log.body.data[0]).toMatchObject({
      action: 'events.voided',
      actor: { kind: 'command', keyId: null },
      changes: { after: { reason: 'ticket 4711', events: 2 } },
    });
    const restored = await run(id, ['restore', ids[0]!, '--json']);
    expect({ code: restored.code, body: JSON.parse(restored.out) }).toMatchObject({
      code: 0,
      body: {
        dryRun: false,
        corrections: [{ correctionId: expect.any(String), at: expect.any(String), events: 1, windows: 1 }],
        events: [{ eventId: ids[0], outcome: 'done', correctionId: expect.any(String) }],
      },
    });
    expect([await callsOf(key), await liveCalls(key)]).toEqual([2, 2]);
  });

  it('take ids of lines, JSON and NDJSON, compressed too, and an export as it is', async () => {
    const { id, key, events, ids } = await stored(8);
    const named = events.map(({ eventId, timestamp }) => ({ eventId, timestamp }));
    const inputs = [
      `\ufeff${ids[0]}\r\n\r\n${ids[1]}`,
      JSON.stringify([ids[2], named[3]], null, 2),
      gzipSync(`${JSON.stringify({ ...events[4], tenantId: id })}\n${JSON.stringify(named[5])}\n`),
      JSON.stringify(named[6]),
    ];
    for (const input of inputs) {
      const { code, out } = await run(id, ['void', '--file', await file(input), '--json']);
      const outcomes = JSON.parse(out).events.map(({ outcome }: { outcome: string }) => outcome);
      expect({ code, outcomes: new Set(outcomes) }).toEqual({ code: 0, outcomes: new Set(['done']) });
    }
    expect(await callsOf(key)).toBe(1);
    // A line that begins as JSON does is an id where that is said.
    const odd = await stored(1, { eventId: '[odd]' });
    const lines = await file('[odd]\n');
    expect((await run(odd.id, ['void', '--file', lines])).err).toContain('line 1 is not JSON');
    expect((await run(odd.id, ['void', '--file', lines, '--format', 'lines'])).code).toBe(0);
    expect(await callsOf(odd.key)).toBe(0);
  });

  it('amend events by whole ones, and nothing where one of them cannot be like this', async () => {
    const { id, key, events } = await stored(2, { value: '5' });
    const versions = events.map((event, i) => ({ ...event, value: `1234567890123456789.${i + 1}` }));
    const wrong = [versions[0], { ...versions[1], timestamp: 'yesterday' }, versions[0]];
    const refused = await run(id, ['amend', await file(wrong.map((one) => JSON.stringify(one)).join('\n'))]);
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.err).toMatch(
      /nothing was changed\n {2}line 2: \/timestamp .*\n {2}line 3: \/eventId is that of one before it/,
    );
    const old = iso(Date.now() - 40 * 86_400_000);
    const past = await run(id, ['amend', await file(JSON.stringify({ ...events[0], timestamp: old }))]);
    expect(past).toMatchObject({ code: 1, out: '' });
    const other = await file(JSON.stringify({ ...events[0], tenantId: 'another' }));
    expect(await run(id, ['amend', other])).toMatchObject({ code: 1, out: '' });
    expect((await run(id, ['amend', await file(JSON.stringify(versions))])).code).toBe(0);
    const { body } = await t.call('GET', '/v1/events', { key });
    expect(body.data.map(({ value }: { value: string }) => value).sort()).toEqual(
      versions.map(({ value }) => value).sort(),
    );
  });

  it('tell what they would do, and change nothing', async () => {
    const { id, key, ids } = await stored(2);
    const { code, out, err } = await run(id, ['void', ...ids, 'nobody', '--dry-run', '--json']);
    expect({ code, body: JSON.parse(out) }).toEqual({
      code: 1,
      body: {
        dryRun: true,
        corrections: [],
        events: [
          ...ids.map((eventId) => ({ eventId, outcome: 'done', correctionId: null })),
          { eventId: 'nobody', outcome: 'unknown' },
        ],
      },
    });
    expect(err).toContain('nothing was changed');
    expect((await run(id, ['restore', ids[0]!, '--dry-run'])).out).toContain('event_not_voided');
    expect(await callsOf(key)).toBe(2);
    expect((await t.sql.query('select from correction where tenant_id = $1', [id])).rowCount).toBe(0);
  });

  it('go batch by batch, stop at what is refused, and leave it out with --skip', async () => {
    const { id, key, ids } = await stored(7);
    const env = { MAX_EVENTS_PER_REQUEST: '2' };
    expect((await run(id, ['void', ids[3]!])).code).toBe(0);
    const list = await file([...ids, ids[0]].join('\n'));
    const stopped = await run(id, ['void', '--file', list, '--json'], env);
    const outcomes = (out: string) =>
      JSON.parse(out).events.map(({ outcome }: { outcome: string }) => outcome);
    expect({ code: stopped.code, outcomes: outcomes(stopped.out) }).toEqual({
      code: 1,
      outcomes: ['done', 'done', 'untouched', 'refused', 'untouched', 'untouched', 'untouched'],
    });
    expect(stopped.err).toContain('named more than once, and taken once: 1');
    expect(await callsOf(key)).toBe(4);
    const skipped = await run(id, ['void', '--file', list, '--skip', '--json'], env);
    expect({ code: skipped.code, outcomes: outcomes(skipped.out) }).toEqual({
      code: 1,
      outcomes: ['refused', 'refused', 'done', 'refused', 'done', 'done', 'done'],
    });
    expect(JSON.parse(skipped.out).corrections).toMatchObject([{ events: 1 }, { events: 2 }, { events: 1 }]);
    expect(await callsOf(key)).toBe(0);
  });

  it('know nothing of what another tenant has', async () => {
    const { id } = await t.tenant();
    const { key, ids } = await stored(1);
    const { code, out } = await run(id, ['void', ids[0]!]);
    expect({ code, out }).toEqual({ code: 1, out: expect.stringMatching(/ {2}unknown\n$/) });
    expect(await callsOf(key)).toBe(1);
  });

  it('are refused where nothing is named, there is no such tenant, no reason, or no Redis that answers', async () => {
    const { id, ids } = await stored(1);
    expect(await run(id, ['void'])).toMatchObject({ code: 2, out: '' });
    expect(await run(id, ['amend'])).toMatchObject({ code: 2, out: '' });
    expect(await run(id, ['void', ids[0]!, '--reason', ''])).toMatchObject({ code: 2, out: '' });
    expect(await run(id, ['void', '--file', join(folder, 'none')])).toMatchObject({ code: 1, out: '' });
    expect(await run(id, ['void', '--file', await file('[]')])).toMatchObject({ code: 1, out: '' });
    expect(await run(id, ['void', '--file', await file('[1]')])).toMatchObject({ code: 1, out: '' });
    expect(await run('nobody', ['void', ids[0]!])).toMatchObject({ code: 1, out: '' });
    const { code, err } = await run(id, ['void', ids[0]!], { REDIS_URL: 'redis://127.0.0.1:1' });
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining('REDIS_URL') });
  });
});

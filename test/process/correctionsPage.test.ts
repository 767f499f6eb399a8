import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { describeEngine } from '../support/database.ts';
import { startListeningService } from '../support/listening.ts';
import { blockNamed, blocksOf, readMarkdown } from '../support/markdown.ts';
import { answersOf } from '../support/pageCommands.ts';
import { installedProgram } from '../support/program.ts';
import { until } from '../support/service.ts';

interface Revision {
  cause: string;
  revision: number;
}

interface Change {
  eventId: string;
  version: number;
  at: string;
  timestamp: string;
  correction: { reason: string };
}

describeEngine('the page about corrections', () => {
  beforeAll(() => installedProgram('curl'), 300_000);

  it('puts a lost day in, and takes it out again', async () => {
    const t = await startListeningService({ WINDOW_GRACE_MS: '0' });
    onTestFinished(() => t.stop());
    const page = await readMarkdown('docs/corrections.md');
    const shown = blocksOf(page)
      .filter(({ language }) => language === 'json')
      .map(({ code }) => JSON.parse(code))
      .find(({ changedWindows }) => changedWindows !== undefined);
    const day = new Date(Date.now() - 2 * 86_400_000).toISOString().slice(0, 10);
    const there = {
      eventId: 'seen',
      timestamp: `${day}T08:00:01Z`,
      customerId: 'initech',
      apiEndpoint: '/v1/chat',
      metadata: { tokens: 100 },
    };
    const post = `curl $URL/v1/events -H "authorization: Bearer $KEY" -H 'content-type: application/json' -d '${JSON.stringify(there)}'`;
    expect(await answersOf(t, post)).toEqual([{ accepted: 1, duplicates: 0 }]);

    const [begun] = await answersOf(t, blockNamed(page, 'begin'));
    expect(begun).toMatchObject({ state: 'staged', customers: ['initech'], replace: true });
    const answers = (block: string) => answersOf(t, `BACKFILL=${begun.id}\n${blockNamed(page, block)}`);
    const [staged, looked] = await answers('stage');
    expect(staged).toEqual({ staged: 2, duplicates: 0 });
    const { days, ...preview } = looked.preview;
    expect(preview).toEqual(shown);
    expect(days).toMatchObject([{ day, changedWindows: 1 }]);
    const [closed, with_, reverted, without] = await answers('close');
    expect([closed.state, reverted.state]).toEqual(['closed', 'reverted']);
    const tokens = (answer: { data: { tokens: number }[] }) => answer.data.map((point) => point.tokens);
    expect([tokens(with_), tokens(without)]).toEqual([[350], [100]]);
  }, 60_000);

  it('puts a wrong bill right, and tells why', async () => {
    const t = await startListeningService({ WINDOW_GRACE_MS: '0' });
    onTestFinished(() => t.stop());
    const page = await readMarkdown('docs/corrections.md');
    const answers = (block: string) => answersOf(t, blockNamed(page, block));
    const shown = blocksOf(page)
      .filter(({ language }) => language === 'json')
      .map(({ code }) => JSON.parse(code));
    const billed = (answer: { data: { value: string }[] }) => answer.data.map(({ value }) => value);

    const [, posted, wrong] = await answers('wrong');
    expect(posted).toEqual({ accepted: 3, duplicates: 0 });
    expect(billed(wrong)).toEqual(['37']);

    const [voided] = await answers('void');
    expect(voided).toEqual({ ...shown[0], correctionId: voided.correctionId, at: voided.at });

    const [retry, amended, right] = await answers('amend');
    expect(retry).toEqual({ accepted: 0, duplicates: 1, voided: 1 });
    expect(amended).toMatchObject({ events: 1, windows: 1, unknown: [] });
    expect(billed(right)).toEqual(['22.5']);

    const [history] = await answers('why');
    // Just after midnight the window is open when they are posted, and nothing was late.
    const told = history.data.filter(({ cause }: Revision) => cause !== 'late');
    const expected = shown[1].data.filter(({ cause }: Revision) => cause !== 'late');
    expect(told).toHaveLength(2);
    for (const [i, { correction, at, windowStart, ...revision }] of told.entries()) {
      const { correction: wanted, at: _, windowStart: __, ...rest } = expected[i];
      expect({ ...revision, revision: rest.revision }).toEqual(rest);
      expect(correction).toMatchObject({ reason: wanted.reason, actor: { kind: 'key' } });
      expect(correction.id).toBe([voided, amended][i].correctionId);
    }

    const events = blockNamed(page, 'events').replaceAll(/revisions\/2/g, `revisions/${told[0].revision}`);
    const [ofVoid, isVoid, versions, restored, now] = await answersOf(t, events);
    expect(ofVoid.data).toEqual([{ eventId: 'order-17/line-2b', counts: false }]);
    expect(isVoid.data).toMatchObject([
      { eventId: 'order-17/line-2b', correction: { reason: 'ticket 4711: sent twice by the importer' } },
    ]);
    expect(versions.versions).toMatchObject([
      { state: 'superseded', event: { value: '13.5' } },
      { state: 'counted', event: { value: '12.5' } },
    ]);
    expect(restored).toMatchObject({ events: 1, unknown: [] });
    expect(billed(now)).toEqual(['36']);

    const { rows } = await t.sql.query('select clock_timestamp() as at');
    await until(async () => {
      const closings = await t.sql.query('select from window_closing where closed_at > $1', [rows[0].at]);
      return closings.rows.length > 0;
    }, 90_000);
    const [sent, changes] = await answers('as of');
    expect(billed(sent)).toEqual(['23.5']);
    const { difference, data, nextCursor } = shown[2];
    expect(changes).toMatchObject({ difference, nextCursor });
    const keyOf = ({ eventId, version }: Pick<Change, 'eventId' | 'version'>) => `${eventId} ${version}`;
    const same = ({ at: _, timestamp: __, correction, ...change }: Change) => ({
      ...change,
      reason: correction.reason,
    });
    const inOrder = (of: Change[]) => of.map(same).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    expect(inOrder(changes.data)).toEqual(inOrder(data));
    expect(Date.parse(changes.until)).toBeGreaterThan(Date.parse(changes.since));
  });
});

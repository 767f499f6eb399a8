import type { RedisStreamConfig } from '../../../ground/config/sources.ts';
import type { Redis } from '../../../ground/redisClient.ts';
import { ok, type Verdict, warn } from '../finding.ts';

/** What is in the streams that events come from, and in those for what could not be stored. */
export async function checkQueue(redis: Redis, streams: RedisStreamConfig[]): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const { stream, group } of streams) verdicts.push(await judgeGroup(redis, stream, group));
  for (const name of new Set(streams.map(({ deadLetterStream }) => deadLetterStream))) {
    const dead = await redis.xlen(name);
    verdicts.push(
      dead === 0
        ? ok(`${name}: no dead letters`)
        : warn(`${name}: ${dead} dead letters`, `XRANGE ${name} - + COUNT 10 shows why; see docs/queue.md`),
    );
  }
  return verdicts;
}

async function judgeGroup(redis: Redis, stream: string, group: string): Promise<Verdict> {
  if ((await redis.exists(stream)) === 0) return ok(`${stream}: no entries yet`);
  const groups = ((await redis.xinfo('GROUPS', stream)) as unknown[][]).map(toRecord);
  const ours = groups.find(({ name }) => name === group);
  if (!ours) {
    return warn(
      `${stream}: nobody has read it as the group ${group}`,
      'see that an instance runs, and SOURCE_GROUP',
    );
  }
  const lag = ours.lag == null ? '' : `, ${ours.lag} not read yet`;
  return ok(`${stream}: ${ours.pending} entries being stored${lag}`);
}

function toRecord(pairs: unknown[]): Record<string, unknown> {
  const record: Record<string, unknown> = {};
  for (let i = 0; i + 1 < pairs.length; i += 2) record[String(pairs[i])] = pairs[i + 1];
  return record;
}

import type { Redis } from '../../../ground/redisClient.ts';
import { fail, ok, type Verdict, warn } from '../finding.ts';
import { isAtLeast, parseInfo } from '../redisInfo.ts';
import { judgeSkew, measureSkew } from './clock.ts';

/** XAUTOCLAIM came with it. */
const OLDEST = [6, 2] as const;

/**
 * Version, what happens when memory is full, what outlives a restart, and the clock.
 *
 * @param use what is kept there, for people.
 */
export async function checkRedis(redis: Redis, use: string): Promise<Verdict[]> {
  const started = performance.now();
  const info = parseInfo(await redis.info());
  const ms = (performance.now() - started).toFixed(1);
  const version = info.redis_version ?? '0';
  const what = `Redis ${version}, answers in ${ms} ms`;
  const verdicts: Verdict[] = [
    isAtLeast(version, OLDEST) ? ok(what) : fail(`${what}: too old`, 'upgrade to Redis 6.2 or newer'),
  ];
  if (info.role === 'slave') verdicts.push(fail('this Redis is a replica', 'connect to the primary'));
  verdicts.push(...judgeMemory(info), await judgePersistence(redis, info, use));
  const skew = await measureSkew(async () => {
    const [seconds, micros] = await redis.time();
    return Number(seconds) * 1_000 + Number(micros) / 1_000;
  });
  verdicts.push(judgeSkew(skew, 'Redis'));
  return verdicts;
}

function judgeMemory(info: Record<string, string>): Verdict[] {
  const policy = info.maxmemory_policy ?? 'unknown';
  const limit = Number(info.maxmemory ?? 0);
  const verdicts: Verdict[] = [];
  if (policy === 'noeviction') verdicts.push(ok('maxmemory-policy noeviction'));
  else {
    verdicts.push(
      warn(
        `maxmemory-policy ${policy}: when memory is full, counters and entries go without a word`,
        'config set maxmemory-policy noeviction, and in redis.conf',
      ),
    );
  }
  const used = Number(info.used_memory ?? 0);
  if (limit > 0 && used > 0.9 * limit) {
    verdicts.push(warn(`${Math.round((100 * used) / limit)} % of maxmemory is in use`, 'raise maxmemory'));
  }
  return verdicts;
}

async function judgePersistence(redis: Redis, info: Record<string, string>, use: string): Promise<Verdict> {
  const appending = info.aof_enabled === '1';
  if (appending && info.aof_last_write_status === 'err') {
    return fail('the append-only file cannot be written', 'see the log of Redis, and its disk');
  }
  // Managed servers do not let CONFIG be asked: then only the append-only file is known of.
  const saves = await redis.config('GET', 'save').then(
    (answer) => ((answer as string[])[1] ?? '') !== '',
    () => null,
  );
  if (saves && info.rdb_last_bgsave_status === 'err') {
    return fail('the last snapshot to disk has failed', 'see the log of Redis, and its disk');
  }
  if (appending) return ok('the append-only file is on');
  const advice = 'config set appendonly yes, and in redis.conf';
  if (saves === null) return warn(`the append-only file is off (${use})`, advice);
  if (saves) return warn(`snapshots only: a crash loses what came after the last one (${use})`, advice);
  return warn(`nothing is kept on disk: a restart loses ${use}`, advice);
}

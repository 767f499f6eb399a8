import { OTHER } from './liveCounters.ts';

/**
 * A counter is one hash: the fields of `SUMS`, `inexact` once a sum has outgrown 64 bits, `endpoints` and `models`
 * with the number of distinct names, and per name `endpoint:calls:NAME` and `endpoint:tokens:NAME` (or `model:…`).
 */
export const SUMS = [
  'calls',
  'tokens',
  'inputTokens',
  'outputTokens',
  'latencyMicros',
  'latencyCount',
] as const;

/**
 * Adds increments to counters, atomically.
 *
 * KEYS: since, then the counters. ARGV: the value for since when it is missing, the cap on names, then for each
 * counter its time to live (ms), the `SUMS`, and for endpoints and then models their number and name, calls, tokens
 * of each.
 */
export const ADD_SCRIPT = `
if not tonumber(redis.call('GET', KEYS[1])) then redis.call('SET', KEYS[1], ARGV[1]) end
local cap = tonumber(ARGV[2])
local at = 2

local function take()
  at = at + 1
  return ARGV[at]
end

local function add(key, field, by)
  if by == '0' then return end
  local reply = redis.pcall('HINCRBY', key, field, by)
  if type(reply) == 'table' and reply.err then redis.call('HSET', key, 'inexact', '1') end
end

local function addNames(key, kind)
  for _ = 1, tonumber(take()) do
    local name = take()
    if redis.call('HEXISTS', key, kind .. ':calls:' .. name) == 0 then
      if tonumber(redis.call('HGET', key, kind .. 's') or '0') < cap then
        redis.call('HINCRBY', key, kind .. 's', '1')
      else
        name = '${OTHER}'
      end
    end
    add(key, kind .. ':calls:' .. name, take())
    add(key, kind .. ':tokens:' .. name, take())
  end
end

for i = 2, #KEYS do
  local key, ttl = KEYS[i], take()
${SUMS.map((field) => `  add(key, '${field}', take())`).join('\n')}
  addNames(key, 'endpoint')
  addNames(key, 'model')
  redis.call('PEXPIRE', key, ttl)
end
`;

/** KEYS: since, then counters. ARGV: the earliest window asked for. Returns since and, when complete, the hashes. */
export const READ_SCRIPT = `
local since = redis.call('GET', KEYS[1])
local reply = { since }
if not tonumber(since) or tonumber(since) > tonumber(ARGV[1]) then return reply end
for i = 2, #KEYS do reply[i] = redis.call('HGETALL', KEYS[i]) end
return reply
`;

/** KEYS: since. ARGV: the window from which the counters are complete again. Never lowers it. */
export const RAISE_SCRIPT = `
local since = tonumber(redis.call('GET', KEYS[1]))
if not since or since < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
`;

import type { RedisClient } from "./client.ts";
import { failedOverReply, isInHistory } from "./replication.ts";

/**
 * One scope's data, all under one hash tag so that one Lua call sees all of it, in a cluster too:
 * `v` (hash: key → "revision expires json"), `o` (sorted set: keys in bytewise order), `x` (sorted set:
 * keys that expire, by when), `t` (hash: lease → newest token, and `LF lease` → the run of the server that gave it), `h` (hash: lease → token of a holder
 * that has not released), `l:NAME` (the running lease, with a TTL).
 */
export const keysOf = (scope: string): readonly [string, string, string, string, string] => [
  `${scope}:v`,
  `${scope}:o`,
  `${scope}:x`,
  `${scope}:t`,
  `${scope}:h`,
];

const shared = `
local V, O, X, T, H = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
-- A write that needs no memory comes first: it lets the rest pass when Redis is full, and a full
-- Redis can only be drained by consumers that keep their leases and write their state.
redis.call('HDEL', H, '')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function remove(key)
  redis.call('HDEL', V, key)
  redis.call('ZREM', O, key)
  redis.call('ZREM', X, key)
end
local function find(key)
  local stored = redis.call('HGET', V, key)
  if not stored then return nil end
  local revision, expires, from = string.match(stored, '^(%d+) (%d+) ()')
  if expires ~= '0' and tonumber(expires) <= now then
    remove(key)
    return nil
  end
  return tonumber(revision), string.sub(stored, from)
end
local function sweep()
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', X, '-inf', now, 'LIMIT', 0, 100)) do remove(key) end
end
`;

const writing = `${isInHistory}
local function fits(at)
  local expect = ARGV[at + 1]
  return expect == '' or (find(ARGV[at]) or 0) == tonumber(expect)
end
local function write(at)
  local key, ttl, json = ARGV[at], ARGV[at + 2], ARGV[at + 3]
  if json == '' then return remove(key) end
  local expires = ttl == '' and 0 or now + tonumber(ttl)
  local revision = (find(key) or 0) + 1
  redis.call('HSET', V, key, string.format('%d %.0f ', revision, expires) .. json)
  redis.call('ZADD', O, 0, key)
  if expires == 0 then redis.call('ZREM', X, key) else redis.call('ZADD', X, expires, key) end
end
if not isInHistory(ARGV[3]) then return ${failedOverReply} end
if ARGV[1] ~= '' and redis.call('HGET', T, ARGV[1]) ~= ARGV[2] then return redis.error_reply('FENCED') end
sweep()
`;

/** ARGV: lease ('' = no fence), token, history, then four a write: key, expected revision or '', ttl or '', json ('' deletes). */
const each =
  shared +
  writing +
  `
local done = {}
for at = 4, #ARGV, 4 do
  local fit = fits(at)
  if fit then write(at) end
  done[#done + 1] = fit and 1 or 0
end
return done`;

const all =
  shared +
  writing +
  `
for at = 4, #ARGV, 4 do if not fits(at) then return 0 end end
for at = 4, #ARGV, 4 do write(at) end
return 1`;

/** ARGV: keys. Answers revision and json a key, both false where absent. */
const get =
  shared +
  `
local found = {}
for at = 1, #ARGV do
  local revision, json = find(ARGV[at])
  found[#found + 1] = revision or false
  found[#found + 1] = json or false
end
return found`;

/** ARGV: lowest and highest bound, page size. Answers the last key looked at, then key, revision, json of each that lives. */
const page =
  shared +
  `
local keys = redis.call('ZRANGEBYLEX', O, ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
local found = { keys[#keys] or false }
for _, key in ipairs(keys) do
  local revision, json = find(key)
  if revision then
    found[#found + 1] = key
    found[#found + 1] = revision
    found[#found + 1] = json
  end
end
sweep()
return found`;

/** More holders than there were in what a restart of Redis may have lost: none of their tokens is given twice. */
const leap = 60;

/**
 * KEYS[6]: the lease. ARGV: its name, ttl, a nonce of this attempt, the history: a command that was sent again
 * after a reconnect gets the answer of the first time. Answers token and whether it is inherited. A token is the time in
 * seconds, or more than the last: also those of a state that was lost, or went back, grow (versions begin with them).
 */
const acquire =
  shared +
  isInHistory +
  `
if not isInHistory(ARGV[4]) then return ${failedOverReply} end
local held = redis.call('GET', KEYS[6])
if held then
  local token, inherited, nonce = string.match(held, '^(%d+) (%d) (.*)$')
  if nonce == ARGV[3] then return { tonumber(token), tonumber(inherited) } end
  return false
end
local inherited = redis.call('HEXISTS', H, ARGV[1])
local told = redis.pcall('INFO', 'server')
local run = type(told) == 'string' and string.match(told, 'run_id:(%w+)') or ''
local last = redis.call('HGET', T, '\\n' .. ARGV[1])
if last ~= run then redis.call('HSET', T, '\\n' .. ARGV[1], run) end
local next = (redis.call('HGET', T, ARGV[1]) or 0) + ((not last or last == run) and 1 or ${leap})
local token = math.max(next, tonumber(time[1]))
local said = string.format('%d', token)
redis.call('HSET', T, ARGV[1], said)
redis.call('HSET', H, ARGV[1], said)
redis.call('SET', KEYS[6], said .. ' ' .. inherited .. ' ' .. ARGV[3], 'PX', ARGV[2])
return { token, inherited }`;

/** KEYS[6]: the lease. ARGV: token, ttl, the history. */
const renew =
  shared +
  isInHistory +
  `
if not isInHistory(ARGV[3]) then return ${failedOverReply} end
local held = redis.call('GET', KEYS[6])
if not held or string.match(held, '^%d+') ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[6], ARGV[2])`;

/** KEYS[6]: the lease. ARGV: its name, token. Nothing happens when somebody else holds it by now. */
const release =
  shared +
  `
if redis.call('HGET', H, ARGV[1]) == ARGV[2] then redis.call('HDEL', H, ARGV[1]) end
local held = redis.call('GET', KEYS[6])
if held and string.match(held, '^%d+') == ARGV[2] then redis.call('DEL', KEYS[6]) end
return 1`;

type Script = (...args: (string | number | Buffer)[]) => Promise<unknown>;
export interface Scripts {
  readonly each: Script;
  readonly all: Script;
  readonly get: Script;
  readonly page: Script;
  readonly acquire: Script;
  readonly renew: Script;
  readonly release: Script;
}

/** Registers the scripts on the client; ioredis sends each body once a connection. */
export function scriptsOn(client: RedisClient): Scripts {
  const script = (name: string, numberOfKeys: number, lua: string): Script => {
    const command = `sluice${name}`;
    client.defineCommand(command, { numberOfKeys, lua });
    return (...args) => (client as unknown as Record<string, Script>)[command]?.(...args) as never;
  };
  return {
    each: script("Each", 5, each),
    all: script("All", 5, all),
    get: script("Get", 5, get),
    page: script("Page", 5, page),
    acquire: script("Acquire", 6, acquire),
    renew: script("Renew", 6, renew),
    release: script("Release", 6, release),
  };
}

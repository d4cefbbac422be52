-- register.lua: registers a runner and the environments that it offers; with ttl 0, unregisters it.
-- KEYS[1] runners (sorted set: runner id, ms since the epoch at which its registration ends)
-- KEYS[2] runner:<id> (hash)   KEYS[3] environments (hash: digest, JSON list of environments)
-- ARGV: runner id, ttl in ms, information (JSON), digest, environments (JSON, or "": known by their digest),
-- time to live of the environments in ms, the caller's time in ms since the epoch, what the name of a key that
-- is set aside begins with.
-- Answer: the environments of that digest, so that the runner sees whether they are as it sent them; else "".
-- A runner lives while runner:<id> does, by Redis's own clock. The set only lists ids, and the times in it are
-- those of the callers' clocks: an id leaves it an hour late, which is more than clocks differ.
-- A key of another type is not ours: it is kept under another name (rename_aside.lua).
local runners, runner, environments = KEYS[1], KEYS[2], KEYS[3]
local id, ttl_ms, information, digest, list, environments_ttl_ms, now_ms, aside =
  ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]
local HOUR_MS = 3600000
for key, kind in pairs({[runners] = 'zset', [runner] = 'hash', [environments] = 'hash'}) do
  local present = redis.call('TYPE', key).ok
  if present ~= 'none' and present ~= kind then rename_aside(key, aside) end
end
if ttl_ms == 0 then
  redis.call('ZREM', runners, id)
  redis.call('DEL', runner)
  return ''
end
redis.call('ZREMRANGEBYSCORE', runners, '-inf', now_ms - HOUR_MS)
redis.call('ZADD', runners, now_ms + ttl_ms, id)
redis.call('PEXPIRE', runners, environments_ttl_ms)
redis.call('HSET', runner, 'info', information, 'environments', digest)
redis.call('PEXPIRE', runner, ttl_ms)
if list ~= '' then redis.call('HSET', environments, digest, list) end
redis.call('PEXPIRE', environments, environments_ttl_ms)
return redis.call('HGET', environments, digest) or ''

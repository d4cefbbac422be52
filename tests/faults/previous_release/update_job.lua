-- update_job.lua: writes a job's new status into its record, and wakes the clients that wait for it.
-- A record that expired is not created again, a terminal status never changes, and an older claim does not
-- overwrite what a newer one wrote.
-- KEYS[1] job:<id>   ARGV: fencing token, ttl in ms, channel, then field and value pairs, "status" first.
-- Answer: the fields and values of the record as it is now; an empty list when it has expired. Of a key of another
-- type only those that it was to get: it cannot hold them, and expires with the job.
local key, token, ttl_ms, channel = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3]
local kind = redis.call('TYPE', key).ok
if kind == 'none' then return {} end
if kind ~= 'hash' then
  redis.call('PEXPIRE', key, ttl_ms)
  redis.call('PUBLISH', channel, ARGV[5])
  return {unpack(ARGV, 4)}
end
-- A status that this release does not know may change: the status sets are the authority.
local terminal = {completed = true, failed = true, timeout = true, error = true, cancelled = true}
local live = not terminal[redis.call('HGET', key, 'status') or '']
if live and (tonumber(redis.call('HGET', key, 'token') or 0) or 0) <= token then
  redis.call('PEXPIRE', key, ttl_ms) -- a write that is allowed when Redis is out of memory: see write_result.lua
  redis.call('HSET', key, 'token', token, unpack(ARGV, 4))
  redis.call('PUBLISH', channel, ARGV[5])
end
return redis.call('HGETALL', key)

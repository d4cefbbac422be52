-- record.lua: writes what became of a job into its record. A record that expired is not made again,
-- a terminal status never changes, and an older claim does not overwrite what a newer one wrote.
-- KEYS[1] job:<id>   ARGV: fencing token, ttl in ms, channel, then field and value pairs, "status" first.
-- Answer: the whole record as it now is, or an empty list when there is none.
local key, token, ttl_ms, channel = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3]
local status = redis.call('HGET', key, 'status')
if not status then return {} end
local live = status == 'queued' or status == 'processing'
if live and tonumber(redis.call('HGET', key, 'token') or 0) <= token then
  redis.call('PEXPIRE', key, ttl_ms) -- a write that is allowed when Redis is out of memory: see result.lua
  redis.call('HSET', key, 'token', token, unpack(ARGV, 4))
  redis.call('PUBLISH', channel, ARGV[5])
end
return redis.call('HGETALL', key)

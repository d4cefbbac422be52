-- result.lua: writes a result, unless one of a newer claim is there.
-- KEYS[1] result:<id>   ARGV: fencing token, ttl in ms, then field and value pairs.
-- Answer: 1 when written, 0 when a newer claim's result stands.
-- DEL comes first for its own sake (no field of an older attempt survives) and because Redis lets a
-- script that began with a write go on when memory is used up: a finished job is not lost to that.
local key, token = KEYS[1], tonumber(ARGV[1])
if tonumber(redis.call('HGET', key, 'token') or 0) > token then return 0 end
redis.call('DEL', key)
redis.call('HSET', key, 'token', token, unpack(ARGV, 3))
redis.call('PEXPIRE', key, ARGV[2])
return 1

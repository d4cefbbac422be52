-- write_result.lua: writes a result, unless a newer claim has written one.
-- KEYS[1] result:<id>   ARGV: fencing token, ttl in ms, then field and value pairs.
-- Answer: 1 when it was written, 0 when the result of a newer claim stays.
-- DEL comes first so that no field of an older attempt survives, and because Redis lets a script go on that
-- began with a write which needs no memory: a compiled job is not lost when memory is used up.
local key, token = KEYS[1], tonumber(ARGV[1])
local is_hash = redis.call('TYPE', key).ok == 'hash'
if is_hash and (tonumber(redis.call('HGET', key, 'token') or 0) or 0) > token then return 0 end
redis.call('DEL', key)
redis.call('HSET', key, 'token', token, unpack(ARGV, 3))
redis.call('PEXPIRE', key, ARGV[2])
return 1

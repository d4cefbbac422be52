-- requeue.lua: gives a claimed job back to the queue.
-- ARGV: job id, token, ttl in ms, "returned" (in good order: does not count as an attempt) or
-- "unsealed" (its runner died after sealing and before the result: the seal is void).
-- Answer: 1 when it was given back, 0 when the token is no longer the job's.
local id, token, ttl_ms, why = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if not member('processing', id) or fact(id, ':token') ~= token then return 0 end
local seal = fact(id, ':seal')
if why == 'returned' then
  if seal then return 0 end
  move(id, 'processing', 'queued', ttl_ms)
  redis.call('HINCRBY', LIVE, id .. ':returned', 1)
else
  move(id, 'processing', 'queued', ttl_ms)
  redis.call('HDEL', LIVE, id .. ':seal')
end
deliver(id)
return 1

-- release.lua: moves a claimed job back into the queue.
-- ARGV: job id, token, ttl in ms, why: "released" (by its runner: does not count as an attempt) or
-- "unsealed" (its runner died between seal and result: the seal is void, the attempt counts).
-- Answer: 1 when it was moved, 0 when the claim with this token no longer holds the job.
local id, token, ttl_ms, why = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if not member('processing', id) or fact(id, ':token') ~= token then return 0 end
if why == 'released' then
  if seal_of(id) then return 0 end
  move(id, 'processing', 'queued', ttl_ms)
  add(LIVE, id .. ':returned', 1)
else
  move(id, 'processing', 'queued', ttl_ms)
  redis.call('HDEL', LIVE, id .. ':seal')
end
deliver(id)
return 1

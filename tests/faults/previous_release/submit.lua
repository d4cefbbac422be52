-- submit.lua: puts jobs into the queue, all of them or none.
-- ARGV: queue size (0: no limit), ttl in ms, then the job ids.
-- Answer: "queued" | "known" (every job is in a status set already) | "full" (there is no room).
-- A job that is in a status set stays where it is: this is a retry whose first answer was lost. If that is so
-- for one of several jobs, all of them were submitted before; those in no set were lost since, and are
-- queued again without asking for room.
local queue_size, ttl_ms = tonumber(ARGV[1]), ARGV[2]
local new = {}
for position = 3, #ARGV do
  if not status_of(ARGV[position]) then new[#new + 1] = ARGV[position] end
end
if #new == 0 then return 'known' end
if queue_size > 0 and #new == #ARGV - 2 and redis.call('SCARD', SETS.queued) + #new > queue_size then
  return 'full'
end
for _, id in ipairs(new) do
  redis.call('SADD', SETS.queued, id)
  deliver(id)
end
redis.call('PEXPIRE', SETS.queued, ttl_ms)
redis.call('PEXPIRE', LIVE, ttl_ms)
return 'queued'

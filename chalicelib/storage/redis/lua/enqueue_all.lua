-- enqueue_all.lua: puts the jobs of a matrix into the queue, all of them or none.
-- ARGV: queue size, ttl in ms, then the job ids.  Answer: {"queued"|"known"|"full", jobs that wait}.
-- "known" is a retry whose first reply was lost: a job that is somewhere already is left there. Where one is,
-- all were accepted, so the bound is not asked again: what is missing was lost since, and is put back.
local queue_size, ttl_ms = tonumber(ARGV[1]), ARGV[2]
local waiting = redis.call('SCARD', SETS.queued)
local new = {}
for position = 3, #ARGV do
  if not status_of(ARGV[position]) then new[#new + 1] = ARGV[position] end
end
if #new == 0 then return {'known', waiting} end
if #new == #ARGV - 2 and waiting + #new > queue_size then return {'full', waiting} end
for _, id in ipairs(new) do
  redis.call('SADD', SETS.queued, id)
  deliver(id)
end
redis.call('PEXPIRE', SETS.queued, ttl_ms)
redis.call('PEXPIRE', LIVE, ttl_ms)
return {'queued', waiting + #new}

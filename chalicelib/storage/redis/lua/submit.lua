-- submit.lua: puts jobs into the queue, all of them or none.
-- ARGV: queue size (0: no limit), most bytes that waiting jobs may have (0: no limit), ttl in ms, then id and bytes
-- of each job.
-- Answer: "queued" | "known" (every job is in a status set already) | "full" (there is no room) | "heavy" (their
-- bytes are more than a quarter of what is free).
-- A job that is in a status set stays where it is: this is a retry whose first answer was lost. If that is so
-- for one of several jobs, all of them were submitted before; those in no set were lost since, and are
-- queued again without asking for room.
local queue_size, most_bytes, ttl_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local new, bytes, all_new = {}, 0, true
for position = 4, #ARGV, 2 do
  if status_of(ARGV[position]) then
    all_new = false
  else
    new[#new + 1] = position
    bytes = bytes + tonumber(ARGV[position + 1])
  end
end
if #new == 0 then return 'known' end
if all_new and queue_size > 0 and redis.call('SCARD', SETS.queued) + #new > queue_size then return 'full' end
if all_new and most_bytes > 0 and 4 * bytes > most_bytes - waiting_bytes() then return 'heavy' end
for _, position in ipairs(new) do
  local id = ARGV[position]
  redis.call('SADD', SETS.queued, id)
  if ARGV[position + 1] ~= '0' then redis.call('HSET', LIVE, id .. ':bytes', ARGV[position + 1]) end
  weigh(id, 1)
  deliver(id)
end
redis.call('PEXPIRE', SETS.queued, ttl_ms)
redis.call('PEXPIRE', LIVE, ttl_ms)
return 'queued'

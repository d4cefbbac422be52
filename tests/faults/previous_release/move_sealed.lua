-- move_sealed.lua: moves a sealed job into its terminal status set, after its result was written.
-- ARGV: job id, token, terminal status, ttl in ms, number of ids to sample, duration of the compile in ms.
-- Answer: {"moved", ids sampled from the terminal set…} (their records may have expired: the caller prunes them)
--       | {"lost"} (the job has another seal, or ended in another way).
local id, token, target, ttl_ms, sample = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
if fact(id, ':seal') ~= token .. ':' .. target then
  return {member(target, id) and 'moved' or 'lost'} -- moved: by an earlier run of this same call
end
local from = member('processing', id) and 'processing' or 'queued'
-- SMOVE first: it is allowed when Redis is out of memory, and then so is what follows it in a script.
move(id, from, target, ttl_ms)
-- If the id was in neither set (they were evicted), the seal still says how the job ended.
redis.call('SADD', SETS[target], id)
redis.call('PEXPIRE', SETS[target], ttl_ms)
forget(id)
add(STATS, 'total_' .. target, 1)
add(STATS, 'total_duration_ms', ARGV[6])
local answer = {'moved'}
for _, other in ipairs(redis.call('SRANDMEMBER', SETS[target], sample)) do answer[#answer + 1] = other end
return answer

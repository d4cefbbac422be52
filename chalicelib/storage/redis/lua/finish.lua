-- finish.lua: the move into a terminal status, after the result was written.
-- ARGV: job id, token, terminal status, ttl in ms, ids to sample for pruning, duration of the compile in ms.
-- Answer: {"done" | "lost", status, sampled ids of the terminal set…}.
local id, token, target, ttl_ms, sample = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
if fact(id, ':seal') ~= token .. ':' .. target then
  local status = status_of(id)
  return {status == target and 'done' or 'lost', status or ''}
end
local from = member('processing', id) and 'processing' or 'queued'
-- SMOVE first: it is allowed when Redis is out of memory, and what follows it in a script is then, too.
move(id, from, target, ttl_ms)
-- Lost from both sets (evicted): the seal still says how it ended.
redis.call('SADD', SETS[target], id)
redis.call('PEXPIRE', SETS[target], ttl_ms)
forget(id)
redis.call('HINCRBY', STATS, 'total_' .. target, 1)
redis.call('HINCRBY', STATS, 'total_duration_ms', ARGV[6])
local answer = {'done', target}
for _, other in ipairs(redis.call('SRANDMEMBER', SETS[target], sample)) do answer[#answer + 1] = other end
return answer

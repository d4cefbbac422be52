-- enqueue.lua: puts a job into the queue, unless QUEUE_SIZE jobs wait already.
-- ARGV: job id, queue size (0: no bound), ttl in ms.  Answer: {"queued"|"known"|"full", jobs that wait}.
-- "known" is a retry whose first reply was lost, or a repair that found the job in its place.
local id, queue_size, ttl_ms = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local waiting = redis.call('SCARD', SETS.queued)
if status_of(id) then return {'known', waiting} end
if queue_size > 0 and waiting >= queue_size then return {'full', waiting} end
redis.call('SADD', SETS.queued, id)
redis.call('PEXPIRE', SETS.queued, ttl_ms)
deliver(id)
redis.call('PEXPIRE', LIVE, ttl_ms)
return {'queued', waiting + 1}

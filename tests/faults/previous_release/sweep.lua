-- sweep.lua: finds and fixes what dead runners and lost keys left behind, at bounded cost.
-- ARGV: lease in ms, most entries to look at, attempts allowed, ttl in ms, ids to sample from each set, least
-- time between two sweeps in ms.
-- Answer: false when the last sweep was not long enough ago; else four lists:
--   {ids released to the queue},
--   {id, seal, …}            sealed by a process that has gone silent since: the caller completes them
--   {id, attempts, seal, …}  attempts used up: sealed here as error; the caller completes them, too
--   {queued and processing ids, sampled}  their records may have expired: the caller discards those
local lease_ms, most, allowed, ttl_ms, sample =
  tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
-- A time in the future is that of a clock that was set back, or nobody's: it must not stop the sweeps.
local swept_at_ms = tonumber(redis.call('HGET', STATS, 'swept_at_ms') or 0) or 0
if swept_at_ms <= now_ms and now_ms - swept_at_ms < tonumber(ARGV[6]) then return false end
redis.call('PEXPIRE', LIVE, ttl_ms)
redis.call('HSET', STATS, 'swept_at_ms', now_ms)

local released, sealed, used_up, sampled = {}, {}, {}, {}

-- 1. Leases that ran out: entries that were delivered, and not renewed since.
for _, pending in ipairs(with_group('XPENDING', STREAM, GROUP, 'IDLE', lease_ms, '-', '+', most)) do
  local entry = pending[1]
  local id = id_of(entry)
  local seal = id and seal_of(id)
  if not id or fact(id, ':entry') ~= entry then
    drop_entry(entry)
  elseif seal and not (seal == (fact(id, ':token') or '') .. ':error' and attempts_of(id) >= allowed) then
    sealed[#sealed + 1] = id
    sealed[#sealed + 1] = seal
  elseif member('queued', id) then
    deliver(id) -- delivered to a runner that died before it claimed
    released[#released + 1] = id
  elseif member('processing', id) then
    if attempts_of(id) >= allowed then
      seal = (string.match(fact(id, ':token') or '', '^%d+$') or '0') .. ':error'
      redis.call('HSET', LIVE, id .. ':seal', seal)
      used_up[#used_up + 1] = id
      used_up[#used_up + 1] = attempts_of(id)
      used_up[#used_up + 1] = seal
    else
      move(id, 'processing', 'queued', ttl_ms)
      deliver(id)
      released[#released + 1] = id
    end
  elseif status_of(id) then
    forget(id) -- it has ended
  else
    redis.call('SADD', SETS.queued, id) -- its set was lost; the next claim will see whether its record was, too
    redis.call('PEXPIRE', SETS.queued, ttl_ms)
    deliver(id)
    released[#released + 1] = id
  end
end

-- 2. Queued ids whose stream entry was lost, or whose cancel was cut off.
for _, id in ipairs(redis.call('SRANDMEMBER', SETS.queued, sample)) do
  local entry, seal = fact(id, ':entry'), seal_of(id)
  if not is_id(id) then
    redis.call('SREM', SETS.queued, id)
    forget(id)
  elseif seal then -- a cancel that was cut off; completing it twice does no harm
    sealed[#sealed + 1] = id
    sealed[#sealed + 1] = seal
  elseif not entry or not id_of(entry) then
    deliver(id)
    released[#released + 1] = id
  end
  sampled[#sampled + 1] = id
end

-- 3. Processing ids without a lease: it starts now. A living runner renews it; otherwise it runs out and
--    step 1 of a later sweep finds it. "nobody" is a consumer that never reads.
for _, id in ipairs(redis.call('SRANDMEMBER', SETS.processing, sample)) do
  local entry = fact(id, ':entry')
  if not is_id(id) then
    redis.call('SREM', SETS.processing, id)
    forget(id)
  else
    if not entry or not id_of(entry) then entry = deliver(id) end
    if #with_group('XPENDING', STREAM, GROUP, entry, entry, 1) == 0 then
      with_group('XCLAIM', STREAM, GROUP, 'nobody', 0, entry, 'FORCE', 'JUSTID')
    end
  end
  sampled[#sampled + 1] = id
end

-- 4. Consumers of dead runners, which a group keeps for ever. A living runner reads every second; should it have
--    been paused for 20 leases, its next read creates its consumer again.
for _, consumer in ipairs(with_group('XINFO', 'CONSUMERS', STREAM, GROUP)) do
  local facts = {}
  for position = 1, #consumer, 2 do facts[consumer[position]] = consumer[position + 1] end
  if facts.pending == 0 and facts.idle > 20 * lease_ms then
    redis.call('XGROUP', 'DELCONSUMER', STREAM, GROUP, facts.name)
  end
end
return {released, sealed, used_up, sampled}

-- sweep.lua: finds and fixes what dead runners and lost keys left behind, at bounded cost.
-- What it needs to know is read by its caller, after sweep_due, because serverless caches refuse these commands in
-- scripts. A lease that is renewed in between had run out; its runner learns that it lost the job.
-- ARGV: lease in ms, attempts allowed, ttl in ms, most queued ids whose bytes are counted, the time that sweep_due
-- gave; then three lists, each with its length in front:
--   entries that were delivered, and not renewed for a lease; a sample of the queued ids; of the processing ids.
-- Answer: false when another sweep was due since; else four lists:
--   {ids released to the queue},
--   {id, seal, …}            sealed by a process that has gone silent since: the caller completes them
--   {id, attempts, seal, …}  attempts used up: sealed here as error; the caller completes them, too
--   {entries of processing jobs}  some may have no lease: the caller starts it
local lease_ms, allowed, ttl_ms, most_counted = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
if redis.call('HGET', STATS, 'swept_at_ms') ~= ARGV[5] then return false end
redis.call('PEXPIRE', LIVE, ttl_ms)

local position = 6
local function list()
  local first, last = position + 1, position + tonumber(ARGV[position])
  position = last + 1
  local items = {}
  for number = first, last do items[#items + 1] = ARGV[number] end
  return items
end

local released, sealed, used_up, unleased = {}, {}, {}, {}

-- 1. Leases that ran out: entries that were delivered, and not renewed since.
for _, entry in ipairs(list()) do
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
for _, id in ipairs(list()) do
  local entry, seal = fact(id, ':entry'), seal_of(id)
  if not member('queued', id) then -- it was claimed, or has ended, since the caller looked
  elseif not is_id(id) then
    redis.call('SREM', SETS.queued, id)
    forget(id)
  elseif seal then -- a cancel that was cut off; completing it twice does no harm
    sealed[#sealed + 1] = id
    sealed[#sealed + 1] = seal
  elseif not entry or not id_of(entry) then
    deliver(id)
    released[#released + 1] = id
  end
end

-- 3. Processing ids, of which some may have no lease: the caller starts it.
for _, id in ipairs(list()) do
  local entry = fact(id, ':entry')
  if not member('processing', id) then -- as above
  elseif not is_id(id) then
    redis.call('SREM', SETS.processing, id)
    forget(id)
  else
    if not entry or not id_of(entry) then entry = deliver(id) end
    unleased[#unleased + 1] = entry
  end
end

-- 4. Consumers of dead runners, which a group keeps for ever. A living runner reads every second; should it have
--    been paused for 20 leases, its next read creates its consumer again. Where a script may not ask for them,
--    they stay: a hundred bytes for each runner that ever was.
for _, consumer in ipairs(with_group('XINFO', 'CONSUMERS', STREAM, GROUP) or {}) do
  local facts = {}
  for position = 1, #consumer, 2 do facts[consumer[position]] = consumer[position + 1] end
  if facts.pending == 0 and facts.idle > 20 * lease_ms then
    redis.pcall('XGROUP', 'DELCONSUMER', STREAM, GROUP, facts.name)
  end
end

-- 5. The bytes of the queued jobs, counted again: see prelude.lua.
if redis.call('SCARD', SETS.queued) <= most_counted then
  local bytes, ids = 0, redis.call('SMEMBERS', SETS.queued)
  for start = 1, #ids, 1000 do
    local fields = {}
    for position = start, math.min(start + 999, #ids) do fields[#fields + 1] = ids[position] .. ':bytes' end
    for _, text in ipairs(redis.call('HMGET', LIVE, unpack(fields))) do
      text = text and string.match(text, '^%d+$')
      if text and #text <= 12 then bytes = bytes + tonumber(text) end
    end
  end
  if bytes == 0 then
    redis.call('HDEL', LIVE, 'waiting_bytes')
  elseif bytes ~= waiting_bytes() then
    redis.call('HSET', LIVE, 'waiting_bytes', bytes)
  end
end
return {released, sealed, used_up, unleased}

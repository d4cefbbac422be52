-- prelude.lua: the beginning of every coordination script; scripts.py puts it in front of each of them.
--
-- All keys are in one cluster slot, and always come in this order:
--   KEYS[1]      job:stream            stream   entries {id = <job id>}; consumer group "runners"
--   KEYS[2]      job:live              hash     facts about jobs that have not ended, up to five fields a job:
--                  <id>:entry            the job's one valid stream entry
--                  <id>:token            fencing token: raised by each claim, never lowered
--                  <id>:returned         how many claims were released, which do not count as attempts (the
--                                        field keeps the name under which earlier releases wrote it)
--                  <id>:claimant         who made the newest claim, so that a retried claim is recognized
--                  <id>:seal             "<token>:<status>": how the job will end; decided once
--   KEYS[3]      stats                 hash     totals over all runners; swept_at_ms, the last sweep
--   KEYS[4..10]  job:index:status:*    set      ids; a job is in exactly one of them
--
-- Invariants:
--   1. From submit to expiry an id is in exactly one status set; only SMOVE takes it from one to another.
--   2. A job ends in four steps: seal (here: decides who wins), write_result (result:<id>, in its own slot),
--      move_sealed (here: into the terminal set), update_job (job:<id>, in its own slot). So whoever reads
--      a terminal status finds the result, and only one of complete, cancel and sweep wins.
--   3. A stream entry other than <id>:entry is stale; the script that meets it deletes it.
--   4. When memory is used up, Redis does not start a script whose first write needs memory, but lets a script
--      go on that has begun to write. So scripts that serve submitted jobs begin with a write that needs none
--      (SMOVE, XACK, PEXPIRE). submit does not: without memory no new job is taken.
--   5. A script that runs twice with the same arguments (because an answer was lost) has the effect of one run.
--   6. What no release wrote counts as absent: no entry, fact, id or number of another form ends a script.

local STREAM, LIVE, STATS = KEYS[1], KEYS[2], KEYS[3]
local GROUP = 'runners'
local NAMES = {'queued', 'processing', 'completed', 'failed', 'timeout', 'error', 'cancelled'}
local SETS = {}
for position, name in ipairs(NAMES) do SETS[name] = KEYS[3 + position] end
local FACTS = {':entry', ':token', ':returned', ':claimant', ':seal'}

-- Ids are made by `new_id` in models.py; whatever else is in a set or an entry belongs to no job.
local function is_id(text) return #text == 32 and not string.find(text, '[^0-9a-f]') end

local function fact(id, name) return redis.call('HGET', LIVE, id .. name) end

-- The seal of a job; one that names a status which this release does not know counts as none.
local function seal_of(id)
  local seal = fact(id, ':seal')
  local status = seal and string.match(seal, '^%d+:(%a+)$')
  if status and SETS[status] and status ~= 'queued' and status ~= 'processing' then return seal end
  return false
end

-- Adds to a number in a hash; what is not a number, or too large, counts as 0.
local function add(key, field, number)
  local sum = redis.pcall('HINCRBY', key, field, number)
  if type(sum) ~= 'table' then return sum end
  redis.call('HDEL', key, field)
  return redis.call('HINCRBY', key, field, number)
end
local function member(status, id) return redis.call('SISMEMBER', SETS[status], id) == 1 end

-- The status of a job, or false when it is in no set.
local function status_of(id)
  for _, name in ipairs(NAMES) do
    if member(name, id) then return name end
  end
  return false
end

local function drop_entry(entry)
  if not entry then return end
  redis.pcall('XACK', STREAM, GROUP, entry) -- fails when there is no group; then nothing was pending
  redis.pcall('XDEL', STREAM, entry) -- fails when it does not read as an entry, and then none exists
end

-- Puts an id at the end of the stream; its former entry, if any, becomes stale and is deleted.
local function deliver(id)
  drop_entry(fact(id, ':entry'))
  local entry = redis.call('XADD', STREAM, '*', 'id', id)
  redis.call('HSET', LIVE, id .. ':entry', entry)
  return entry
end

-- The job id that an entry carries, or false when the entry does not exist any more.
local function id_of(entry)
  local entries = redis.pcall('XRANGE', STREAM, entry, entry)
  local fields = entries[1] and entries[1][2]
  return fields and fields[1] == 'id' and is_id(fields[2]) and fields[2] or false
end

local function move(id, from, to, ttl_ms)
  redis.call('SMOVE', SETS[from], SETS[to], id)
  redis.call('PEXPIRE', SETS[to], ttl_ms)
  redis.call('PEXPIRE', LIVE, ttl_ms)
end

local function forget(id)
  drop_entry(fact(id, ':entry'))
  for _, name in ipairs(FACTS) do redis.call('HDEL', LIVE, id .. name) end
end

-- Claims that count against MAX_ATTEMPTS: all but those that were released.
local function attempts_of(id)
  return (tonumber(fact(id, ':token') or 0) or 0) - (tonumber(fact(id, ':returned') or 0) or 0)
end

-- Runs a command on the consumer group; creates the group again if it (or the stream) was deleted.
local function with_group(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err and string.find(tostring(answer.err), 'NOGROUP', 1, true) then
    redis.call('XGROUP', 'CREATE', STREAM, GROUP, '0', 'MKSTREAM')
    answer = redis.pcall(...)
  end
  if type(answer) == 'table' and answer.err then return {} end
  return answer
end

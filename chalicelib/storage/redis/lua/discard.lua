-- discard.lua: removes every trace of a job whose record expired or was evicted.
-- ARGV: job id.  Answer: the status that it had, or "".
local id = ARGV[1]
local status = status_of(id)
for _, name in ipairs(NAMES) do redis.call('SREM', SETS[name], id) end
forget(id)
return status or ''

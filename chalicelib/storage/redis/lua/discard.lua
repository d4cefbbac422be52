-- discard.lua: removes everything about a job whose record expired or was evicted.
-- ARGV: job id.  Answer: nothing.
local id = ARGV[1]
if member('queued', id) then weigh(id, -1) end
for _, name in ipairs(NAMES) do redis.call('SREM', SETS[name], id) end
forget(id)

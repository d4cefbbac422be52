-- counts.lua: how many jobs are in each status, and the totals, at one moment.
-- Answer: {ids per status in the order of NAMES}, {total name, value, …}.
local counts = {}
for position, name in ipairs(NAMES) do counts[position] = redis.call('SCARD', SETS[name]) end
return {counts, redis.call('HGETALL', STATS)}

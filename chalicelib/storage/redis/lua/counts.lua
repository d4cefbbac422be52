-- counts.lua: how many jobs are in each status, the totals, and the age of the oldest queued job, at one moment.
-- Answer: {ids per status in the order of NAMES}, {total name, value, …}, milliseconds (0 when none is queued).
local counts = {}
for position, name in ipairs(NAMES) do counts[position] = redis.call('SCARD', SETS[name]) end
local age = 0
if counts[1] > 0 and redis.call('EXISTS', STREAM) == 1 then
  -- What was delivered is being compiled, or given back under a newer entry. Without a runner yet, nothing was.
  local after = '-'
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', STREAM)) do
    local facts = {}
    for position = 1, #group, 2 do facts[group[position]] = group[position + 1] end
    if facts['name'] == GROUP then after = '(' .. facts['last-delivered-id'] end
  end
  local first = redis.call('XRANGE', STREAM, after, '+', 'COUNT', 1)[1]
  if first then
    local time = redis.call('TIME')
    age = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(string.match(first[1], '^%d+'))
  end
end
return {counts, redis.call('HGETALL', STATS), math.max(age, 0)}

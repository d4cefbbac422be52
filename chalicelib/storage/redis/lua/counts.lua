-- counts.lua: the number of jobs in each status, the totals, and the age of the oldest queued job, at one moment.
-- Answer: {number of ids per status in the order of NAMES}, {name of a total, value, …}, age in ms (0 when
-- none is queued).
local counts = {}
for position, name in ipairs(NAMES) do counts[position] = redis.call('SCARD', SETS[name]) end
local age_ms = 0
if counts[1] > 0 and redis.call('EXISTS', STREAM) == 1 then
  -- An entry that was delivered is being compiled, or its job was queued again with a newer entry. Before the
  -- first runner there is no group, and nothing was delivered.
  local after = '-'
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', STREAM)) do
    local facts = {}
    for position = 1, #group, 2 do facts[group[position]] = group[position + 1] end
    if facts['name'] == GROUP then after = '(' .. facts['last-delivered-id'] end
  end
  local first = redis.call('XRANGE', STREAM, after, '+', 'COUNT', 1)[1]
  if first then
    local time = redis.call('TIME')
    age_ms = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(string.match(first[1], '^%d+'))
  end
end
return {counts, redis.call('HGETALL', STATS), math.max(age_ms, 0)}

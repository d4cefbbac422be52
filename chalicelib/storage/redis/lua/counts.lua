-- counts.lua: the number of jobs in each status, the totals, and the age of the oldest queued job, at one moment.
-- ARGV: the caller's time in ms since the epoch, most entries to look at.
-- Answer: {number of ids per status in the order of NAMES}, {name of a total, value, …}, age in ms (0 when
-- none is queued).
local most = tonumber(ARGV[2])
local counts = {}
for position, name in ipairs(NAMES) do counts[position] = redis.call('SCARD', SETS[name]) end

-- The first entry whose job is queued. Those before it are of jobs that are being compiled, which are as many as
-- there are workers; with more of them than `most`, the age is that of the last one that was looked at.
local function oldest_ms()
  local after, seen_ms, looked = '-', nil, 0
  while looked < most do
    local entries = redis.call('XRANGE', STREAM, after, '+', 'COUNT', 100)
    for _, entry in ipairs(entries) do
      local id = entry[2][1] == 'id' and entry[2][2] or ''
      seen_ms = tonumber(string.match(entry[1], '^%d+'))
      if member('queued', id) and fact(id, ':entry') == entry[1] then return seen_ms end
      after = '(' .. entry[1]
    end
    looked = looked + 100
    if #entries < 100 then return nil end
  end
  return seen_ms
end

local age_ms = 0
if counts[1] > 0 then
  local oldest = oldest_ms()
  if oldest then age_ms = now_ms(ARGV[1]) - oldest end
end
return {counts, redis.call('HGETALL', STATS), math.max(age_ms, 0)}

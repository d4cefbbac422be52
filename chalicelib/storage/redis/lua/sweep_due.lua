-- sweep_due.lua: says whether a sweep is due, and notes that it begins.
-- ARGV: least time between two sweeps in ms, ttl in ms, the caller's time in ms since the epoch.
-- Answer: false, or the time that was noted.
-- A time in the future is that of a clock that was set back, or of a caller whose clock is ahead, or nobody's: it
-- must not stop the sweeps. So callers whose clocks differ sweep more often than they need to, and never less.
local at_ms = now_ms(ARGV[3])
local swept_at_ms = tonumber(redis.call('HGET', STATS, 'swept_at_ms') or 0) or 0
if swept_at_ms <= at_ms and at_ms - swept_at_ms < tonumber(ARGV[1]) then return false end
redis.call('PEXPIRE', LIVE, ARGV[2])
local noted = string.format('%.0f', at_ms)
redis.call('HSET', STATS, 'swept_at_ms', noted)
return noted

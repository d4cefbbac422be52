-- statuses.lua: the statuses of jobs at one moment, as the status sets have them.
-- ARGV: job ids.  Answer: for each of them its status, or "" when it is in no set.
local statuses = {}
for position, id in ipairs(ARGV) do statuses[position] = status_of(id) or '' end
return statuses

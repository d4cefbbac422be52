-- statuses.lua: the statuses of several jobs at one moment, by the authority, the sets.
-- ARGV: job ids.  Answer: for each of them its status, or "" when it is in no set.
local statuses = {}
for position, id in ipairs(ARGV) do statuses[position] = status_of(id) or '' end
return statuses

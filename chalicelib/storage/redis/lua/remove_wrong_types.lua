-- remove_wrong_types.lua: removes those of the coordination keys that are of another type than ours.
-- Nothing in such a key is ours, and as long as it is there no job ends. What it replaced is lost, and the sweep
-- makes up for it as for any key that is lost.
-- Answer: the names of the keys that were removed.
local removed = {}
for position, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  local ours = ({'stream', 'hash', 'hash'})[position] or 'set'
  if kind ~= 'none' and kind ~= ours then
    redis.call('DEL', key)
    removed[#removed + 1] = key
  end
end
return removed

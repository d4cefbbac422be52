-- set_aside.lua: renames those of the coordination keys that are of another type than ours.
-- Nothing in such a key is ours, so it is kept for its owner, as job:set-aside:<key>:<number>; but as long as it
-- has our name no job ends. What it replaced is lost, and the sweep makes up for it as for any key that is lost.
-- ARGV: what the new names begin with.  Answer: the names of the keys that were renamed.
local renamed = {}
for position, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  local ours = ({'stream', 'hash', 'hash'})[position] or 'set'
  if kind ~= 'none' and kind ~= ours then
    rename_aside(key, ARGV[1])
    renamed[#renamed + 1] = key
  end
end
return renamed

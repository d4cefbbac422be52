-- rename_aside.lua: the beginning of the scripts that meet keys of another type; scripts.py puts it in front of them.

-- Renames a key that is not ours. `aside`: what its new name begins with, which is in the same cluster slot, and
-- which our Redis user may write.
local function rename_aside(key, aside)
  local number = 1
  while redis.call('RENAMENX', key, aside .. key .. ':' .. number) == 0 do number = number + 1 end
end

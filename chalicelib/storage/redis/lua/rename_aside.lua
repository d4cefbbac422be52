-- rename_aside.lua: the beginning of the scripts that meet keys of another type; scripts.py puts it in front of them.

-- Renames a key that is not ours to a name in the same cluster slot that our Redis user may write.
local function rename_aside(key)
  local tag = string.match(key, '^{job}:') or ''
  local aside = (tag ~= '' and tag or 'job:') .. 'set-aside:' .. string.sub(key, #tag + 1) .. ':'
  local number = 1
  while redis.call('RENAMENX', key, aside .. number) == 0 do number = number + 1 end
end

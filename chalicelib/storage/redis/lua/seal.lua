-- seal.lua: decides how a job will end. From here on nobody else can end it otherwise.
-- ARGV: job id, token ("*": whatever it is, for a cancel), terminal status, ttl in ms.
-- Answer: {"sealed", token} | {"lost", status or other seal} | {"ended", status} | {"nowhere"}.
local id, token, target = ARGV[1], ARGV[2], ARGV[3]
local seal = fact(id, ':seal')
local current = fact(id, ':token') or '0'
local live = member('queued', id) or member('processing', id)
if seal then
  if token == '*' then token = current end
  if seal == token .. ':' .. target then return {'sealed', token} end
  return {'lost', seal}
end
if not live then
  local status = status_of(id)
  if status then return {'ended', status} end
  return {'nowhere'}
end
if token == '*' then
  token = current
elseif token ~= current or not member('processing', id) then
  return {'lost', status_of(id)}
end
redis.call('PEXPIRE', LIVE, ARGV[4])
redis.call('HSET', LIVE, id .. ':seal', token .. ':' .. target)
return {'sealed', token}

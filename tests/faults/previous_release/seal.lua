-- seal.lua: decides how a job will end. From here on it cannot end in another way.
-- ARGV: job id, token ("*": any, for a cancel), terminal status, ttl in ms.
-- Answer: {"sealed", token} (now, or by an earlier run of the same call)
--       | {"other_seal", seal} (another end was decided first)
--       | {"stale_claim"} (the claim with this token no longer holds the job)
--       | {"ended", status} | {"in_no_set"} (lost or expired).
local id, token, target = ARGV[1], ARGV[2], ARGV[3]
local seal = seal_of(id)
local current = string.match(fact(id, ':token') or '', '^%d+$') or '0'
if seal then
  if token == '*' then token = current end
  if seal == token .. ':' .. target then return {'sealed', token} end
  return {'other_seal', seal}
end
local status = status_of(id)
if not status then return {'in_no_set'} end
if status ~= 'queued' and status ~= 'processing' then return {'ended', status} end
if token == '*' then
  token = current
elseif token ~= current or not member('processing', id) then
  return {'stale_claim'}
end
redis.call('PEXPIRE', LIVE, ARGV[4])
redis.call('HSET', LIVE, id .. ':seal', token .. ':' .. target)
return {'sealed', token}

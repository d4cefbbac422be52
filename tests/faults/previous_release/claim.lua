-- claim.lua: moves a delivered job from queued to processing; whoever moves it holds the lease.
-- ARGV: job id, stream entry, claimant (unique to this claim), ttl in ms.
-- Answer: {"claimed", token, attempts}
--       | {"sealed", seal} (its end was decided, but not carried out: the caller completes it)
--       | {"held"} (another claim has it) | {"ended"} | {"in_no_set"} (lost or expired).
local id, entry, claimant, ttl_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if member('queued', id) then
  local seal = seal_of(id)
  if seal then return {'sealed', seal} end
  local valid = fact(id, ':entry')
  if valid and valid ~= entry then drop_entry(valid) end
  move(id, 'queued', 'processing', ttl_ms)
  redis.call('HSET', LIVE, id .. ':entry', entry, id .. ':claimant', claimant)
  local token = add(LIVE, id .. ':token', 1)
  return {'claimed', token, attempts_of(id)}
end
if member('processing', id) then
  if fact(id, ':claimant') == claimant then
    return {'claimed', tonumber(fact(id, ':token') or 0) or 0, attempts_of(id)}
  end
  if fact(id, ':entry') ~= entry then drop_entry(entry) end
  return {'held'}
end
drop_entry(entry)
if status_of(id) then return {'ended'} end
return {'in_no_set'}

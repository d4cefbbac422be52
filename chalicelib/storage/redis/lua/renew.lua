-- renew.lua: renews the leases of one runner's jobs. A lease is the idle time of the pending stream entry.
-- ARGV: runner, then job id and token for each job.
-- Answer: two lists:
--   {ids that are no longer this runner's}, because they were cancelled, or claimed by another runner after the
--   lease ran out. The runner must stop working on them.
--   {entries that the caller claims itself}, where a script may not.
local runner = ARGV[1]
local lost, left = {}, {}
for position = 2, #ARGV, 2 do
  local id, token = ARGV[position], ARGV[position + 1]
  -- With any other seal of its own token the runner is just completing the job: it still needs the lease.
  if member('processing', id) and fact(id, ':token') == token and fact(id, ':seal') ~= token .. ':cancelled' then
    local entry = fact(id, ':entry')
    -- An entry that was lost with its stream is added again. FORCE, because a group that was lost and created
    -- again does not know the lease. JUSTID, because renewing is not a delivery.
    if not entry or not id_of(entry) then entry = deliver(id) end
    if not with_group('XCLAIM', STREAM, GROUP, runner, 0, entry, 'FORCE', 'JUSTID') then left[#left + 1] = entry end
  else
    lost[#lost + 1] = id
  end
end
return {lost, left}

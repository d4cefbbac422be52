-- renew.lua: renews the leases of one runner's jobs: the idle time of their pending entries.
-- ARGV: runner, then job id and token for each job.  Answer: the ids that the runner no longer owns
-- (cancelled, or given to another after the lease ran out): it must stop working on them.
local runner = ARGV[1]
local lost = {}
for position = 2, #ARGV, 2 do
  local id, token = ARGV[position], ARGV[position + 1]
  -- A seal of its own means that it is writing the result just now: it still needs the lease.
  if member('processing', id) and fact(id, ':token') == token and fact(id, ':seal') ~= token .. ':cancelled' then
    local entry = fact(id, ':entry')
    -- An entry that was lost with its stream is made again. FORCE: a group that was lost knows
    -- nothing of the lease. JUSTID: renewing is not a delivery.
    if not entry or not id_of(entry) then entry = deliver(id) end
    with_group('XCLAIM', STREAM, GROUP, runner, 0, entry, 'FORCE', 'JUSTID')
  else
    lost[#lost + 1] = id
  end
end
return lost

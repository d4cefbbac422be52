-- locate.lua: the status of a job by the authority, the sets.
-- ARGV: job id.  Answer: {status or "", seal or ""}.
return {status_of(ARGV[1]) or '', fact(ARGV[1], ':seal') or ''}

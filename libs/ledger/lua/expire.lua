-- Ends what the clocks of a job have ended: its start deadline, and its own time limit.
-- KEYS[1] job.  Returns 'ok'.
local now = now_ms()
if redis.call('EXISTS', job) == 0 then return 'ok' end
local version = redis.call('HGET', job, 'version')
expire(now)
close_if_done(now)
if redis.call('HGET', job, 'version') ~= version then changed() end
return 'ok'

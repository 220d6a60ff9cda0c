-- Cancels a job. What is pending or queued ends here; what a worker holds is left to that worker, which is told.
-- KEYS[1] job.  Returns 'cancelling', 'ended' or 'unknown'.
local f = redis.call('HMGET', job, 'state', 'next', 'total')
if not f[1] then return 'unknown' end
if f[1] ~= 'queued' and f[1] ~= 'running' and f[1] ~= 'cancelling' then return 'ended' end
local now = now_ms()
redis.call('HSET', job, 'state', 'cancelling')

-- Runs that were never released have no record of their own: the job says what became of all of them.
local rest = f[3] - f[2]
if rest > 0 then
  redis.call('HSET', job, 'next', f[3], 'rest_from', f[2], 'rest_at', now)
  move('pending', 'cancelled', rest)
  redis.call('HINCRBY', job, 'done', rest)
end
for _, index in ipairs(redis.call('SMEMBERS', open)) do
  if redis.call('HGET', run_key(index), 'state') == 'queued' then
    settle(index, 'queued', 'cancelled', 'not_started', 'cancelled_by_user', now)
  end
end
close_if_done(now)
changed()
redis.call('PUBLISH', base .. ':cancelled', job_id)
return 'cancelling'

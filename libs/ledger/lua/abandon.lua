-- Settles a run whose worker let its lease run out. Not dispatched: it is queued again, as a new attempt; the next
-- claim's epoch fences off the old worker, should it only have been asleep.
-- Dispatched: nobody can know whether the command ran, so it is lost.
-- KEYS[1] job.  ARGV 3 index.  Returns {'requeued' or 'lost', index, host, attempt, ...} or {'held'}.
local key = run_key(ARGV[3])
local f = redis.call('HMGET', key, 'state', 'worker', 'host')
if f[1] ~= 'connecting' and f[1] ~= 'running' then return {'held'} end
if redis.call('EXISTS', base .. ':worker:' .. f[2]) == 1 then return {'held'} end
local now = now_ms()
local answer
if f[1] == 'connecting' and redis.call('HGET', job, 'state') ~= 'cancelling' then
  local attempt = redis.call('HINCRBY', key, 'attempt', 1)
  redis.call('HSET', key, 'state', 'queued', 'queued', now)
  move('connecting', 'queued', 1)
  answer = {'requeued', ARGV[3], f[3], tostring(attempt)}
elseif f[1] == 'connecting' then
  settle(ARGV[3], f[1], 'cancelled', 'not_started', 'cancelled_by_user', now)
  answer = {'lost'}
else
  settle(ARGV[3], f[1], 'lost', 'unknown', 'worker_lost', now)
  answer = release(now)
  table.insert(answer, 1, 'lost')
end
close_if_done(now)
changed()
return answer

-- Lets a job that is paused at a gate go on with its next batch.
-- KEYS[1] job.  ARGV 3 the batch that has ended, from 0, or '': a request that is sent twice opens one gate.  Returns {'resumed', tickets...}, {'not_paused'} or {'unknown'}.
let_in()
local now = now_ms()
if redis.call('EXISTS', job) == 0 then return {'unknown'} end
-- It may have waited for too long.
expire(now)
local is_another = ARGV[3] ~= '' and ARGV[3] ~= redis.call('HGET', job, 'batch')
if is_another or redis.call('HGET', job, 'state') ~= 'paused' or redis.call('HGET', job, 'next') == redis.call('HGET', job, 'total') then
  close_if_done(now)
  if has_moved then changed() end
  return {'not_paused'}
end
redis.call('HSET', job, 'state', redis.call('HEXISTS', job, 'started') == 1 and 'running' or 'queued')
begin_batch(now)
release(now)
changed()
return reply('resumed')

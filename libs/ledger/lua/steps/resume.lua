-- Lets a job that is paused at a gate go on with its next batch.
-- `batch` is the batch that has ended, from 0, so that a request which is sent twice opens one gate; or ''.
-- `signed` is the order of the server to go on after that batch, or ''.
-- Returns {'resumed', tickets...}, {'not_paused'} or {'unknown'}.
local batch, signed = ARGV[3], ARGV[4]

let_in()
local now = now_ms()
if redis.call('EXISTS', job) == 0 then return {'unknown'} end
-- It may have waited for too long, or its key is void.
expire(now)
expire_key(now)
local facts = read(job, 'state', 'batch', 'next', 'total', 'started')
local is_another = batch ~= '' and batch ~= facts.batch
if is_another or facts.state ~= 'paused' or facts.next == facts.total then
  close_if_done(now)
  if has_moved then changed() end
  return {'not_paused'}
end
keep_signed('gate:' .. batch, signed)
redis.call('HSET', job, 'state', facts.started and 'running' or 'queued')
begin_batch(now)
release(now)
changed()
return reply('resumed')

-- Changes how many runs of a job may be in flight. Fewer than there are stops none of them.
-- KEYS[1] job.  ARGV 3 count.  Returns {'changed', tickets...}, {'ended'} or {'unknown'}.
let_in()
local f = redis.call('HMGET', job, 'state', 'ended')
if not f[1] then return {'unknown'} end
if f[2] then return {'ended'} end
redis.call('HSET', job, 'concurrency', ARGV[3])
local now = now_ms()
release(now)
close_if_done(now)
changed()
return reply('changed')

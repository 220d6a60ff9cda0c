-- Changes how many runs of a job may be in flight. When more are in flight already, none of them is stopped.
-- Returns {'changed', tickets...}, {'ended'} or {'unknown'}.
local concurrency = ARGV[3]

let_in()
local facts = read(job, 'state', 'ended')
if not facts.state then return {'unknown'} end
if facts.ended then return {'ended'} end
redis.call('HSET', job, 'concurrency', concurrency)
local now = now_ms()
release(now)
close_if_done(now)
changed()
return reply('changed')

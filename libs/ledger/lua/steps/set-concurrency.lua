-- Changes how many runs of a job may be in flight. When more are in flight already, none of them is stopped.
-- `signed` is the order of the server, or ''.
-- Returns {'changed', tickets...}, {'ended'} or {'unknown'}.
local concurrency, signed = ARGV[3], ARGV[4]

let_in()
local facts = read(job, 'state', 'ended', 'concurrency')
if not facts.state then return {'unknown'} end
if facts.ended then return {'ended'} end
-- A worker may ask only now whether as many were signed as there were a moment ago: an order for fewer replaces none.
if tonumber(concurrency) >= tonumber(facts.concurrency) then keep_signed('concurrency', signed) end
redis.call('HSET', job, 'concurrency', concurrency)
local now = now_ms()
release(now)
close_if_done(now)
changed()
return reply('changed')

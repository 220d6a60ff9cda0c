-- Does what is due for a job that nothing else happens to: its clocks may be over, its key may be void, or workers may
-- have come free.
-- Returns {'tended', tickets...}.
let_in()
local now = now_ms()
if redis.call('EXISTS', job) == 0 then return {'tended'} end
local state = redis.call('HGET', job, 'state')
expire_key(now)
release(now)
close_if_done(now)
if has_moved or redis.call('HGET', job, 'state') ~= state then changed() end
return reply('tended')

-- Raises the exec timeout of a job, never lowers it; workers are told.
-- KEYS[1] job.  ARGV 3 milliseconds.  Returns 'raised', 'ended', 'unknown' or, when it is no raise, the present limit.
let_in()
local f = redis.call('HMGET', job, 'state', 'ended', 'exec_timeout_ms')
if not f[1] then return 'unknown' end
if f[2] then return 'ended' end
if tonumber(ARGV[3]) == tonumber(f[3]) then return 'raised' end
if tonumber(ARGV[3]) < tonumber(f[3]) then return f[3] end
redis.call('HSET', job, 'exec_timeout_ms', ARGV[3])
changed()
order()
return 'raised'

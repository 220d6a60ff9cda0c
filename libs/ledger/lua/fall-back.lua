-- A run that was to be durable and cannot be on its host: from now on it counts as attached, before it is sent.
-- KEYS[1] job.  ARGV 3 index, 4 epoch, 5 what to tell people.  Returns 'ok' or 'fenced'.
local key = run_key(ARGV[3])
local f = redis.call('HMGET', key, 'state', 'epoch')
if f[1] ~= 'running' or f[2] ~= ARGV[4] then return 'fenced' end
redis.call('HSET', key, 'mode', 'attached', 'notice', ARGV[5])
redis.call('SADD', noticed, ARGV[3])
return 'ok'

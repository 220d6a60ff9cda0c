-- A run that was to be durable and cannot be on its host: from now on it counts as attached, before it is sent.
-- KEYS[1] job.  ARGV 3 index, 4 epoch, 5 nonce of the claim, 6 what to tell people.  Returns 'ok' or 'fenced'.
let_in()
local key = run_key(ARGV[3])
local f = redis.call('HMGET', key, 'state', 'epoch', 'nonce', 'notice')
if f[1] ~= 'running' or f[2] ~= ARGV[4] or f[3] ~= ARGV[5] then return 'fenced' end
redis.call('HSET', key, 'mode', 'attached', 'notice', (f[4] and f[4] .. '; ' or '') .. ARGV[6])
redis.call('SADD', noticed, ARGV[3])
return 'ok'

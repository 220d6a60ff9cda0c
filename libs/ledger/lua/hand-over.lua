-- A worker that has to go hands a durable run, which goes on at its host, to another worker.
-- KEYS[1] job.  ARGV 3 index, 4 epoch, 5 nonce of the claim.  Returns {'resumed', tickets...} or {'fenced'}.
let_in()
local f = redis.call('HMGET', run_key(ARGV[3]), 'state', 'epoch', 'mode', 'nonce')
if f[1] ~= 'running' or f[2] ~= ARGV[4] or f[4] ~= ARGV[5] or f[3] ~= 'durable' then return {'fenced'} end
resume(ARGV[3], now_ms())
changed()
return reply('resumed')

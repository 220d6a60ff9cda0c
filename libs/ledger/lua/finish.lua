-- Ends a run with what its worker found, and releases the next ones.
-- KEYS[1] job.  ARGV 3 index, 4 epoch, 5 state, 6 remote, 7 reason or '', 8... field, value, field, value.
-- Returns {'finished', index, host, attempt, ...} or {'fenced'}.
local key = run_key(ARGV[3])
local f = redis.call('HMGET', key, 'state', 'epoch')
if (f[1] ~= 'connecting' and f[1] ~= 'running') or f[2] ~= ARGV[4] then return {'fenced'} end
local now = now_ms()
if #ARGV > 7 then redis.call('HSET', key, unpack(ARGV, 8)) end
settle(ARGV[3], f[1], ARGV[5], ARGV[6], ARGV[7], now)
local answer = release(now)
close_if_done(now)
changed()
table.insert(answer, 1, 'finished')
return answer

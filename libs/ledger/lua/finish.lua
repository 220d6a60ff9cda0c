-- Ends an attempt with what its worker found: the run ends, or waits for another attempt. Releases the next runs.
-- KEYS[1] job.  ARGV 3 index, 4 epoch, 5 state, 6 remote, 7 reason or '', 8 exit code or '', 9 '1' if the worker holds
-- another attempt for promising, 10 '1' if the host itself was asked and is at fault, 11 the same end as JSON, 12... field, value, field, value.
-- Returns {'finished' or 'retrying', tickets...} or {'fenced'}.
local key = run_key(ARGV[3])
local f = redis.call('HMGET', key, 'state', 'epoch', 'ended_epoch', 'host')
-- The same request again: its reply was lost on the way.
if f[3] == ARGV[4] then return {'finished'} end
if (f[1] ~= 'connecting' and f[1] ~= 'running') or f[2] ~= ARGV[4] then
  -- The run was settled without this worker. What it found is kept beside, and changes nothing.
  if f[1] and ARGV[6] ~= 'not_started' and redis.call('HSETNX', key, 'late_result', ARGV[11]) == 1 then
    redis.call('SADD', noticed, ARGV[3])
    changed()
  end
  return {'fenced'}
end
local now = now_ms()
redis.call('HSET', key, 'ended_epoch', ARGV[4])
if #ARGV > 11 then redis.call('HSET', key, unpack(ARGV, 12)) end
local is_barred_now = f[1] == 'connecting' and note_failure(f[4], ARGV[7], ARGV[10] == '1', now)
local is_retryable = ARGV[9] == '1' and (not is_barred_now or redis.call('HEXISTS', job, 'force') == 1)
local word = 'finished'
if retry(ARGV[3], f[1], ARGV[5], ARGV[6], ARGV[7], ARGV[8], is_retryable, now) then
  word = 'retrying'
else
  settle(ARGV[3], f[1], ARGV[5], ARGV[6], ARGV[7], now)
  release(now)
  close_if_done(now)
end
changed()
return reply(word)

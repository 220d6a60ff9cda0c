-- Ends an attempt with what its worker found: the run ends, or waits for another attempt. Releases the next runs.
-- KEYS[1] job.  ARGV 3 index, 4 epoch, 5 state, 6 remote, 7 reason or '', 8 exit code or '', 9 '1' if the worker holds
-- another attempt for promising, 10 the same end as JSON, 11... field, value, field, value.
-- Returns {'finished' or 'retrying', tickets...} or {'fenced'}.
local key = run_key(ARGV[3])
local f = redis.call('HMGET', key, 'state', 'epoch', 'ended_epoch')
-- The same request again: its reply was lost on the way.
if f[3] == ARGV[4] then return {'finished'} end
if (f[1] ~= 'connecting' and f[1] ~= 'running') or f[2] ~= ARGV[4] then
  -- The run was settled without this worker. What it found is kept beside, and changes nothing.
  if f[1] and ARGV[6] ~= 'not_started' and redis.call('HSETNX', key, 'late_result', ARGV[10]) == 1 then
    redis.call('SADD', noticed, ARGV[3])
    changed()
  end
  return {'fenced'}
end
local now = now_ms()
redis.call('HSET', key, 'ended_epoch', ARGV[4])
if #ARGV > 10 then redis.call('HSET', key, unpack(ARGV, 11)) end
local answer = {'finished'}
if retry(answer, ARGV[3], f[1], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9] == '1', now) then
  answer[1] = 'retrying'
else
  settle(ARGV[3], f[1], ARGV[5], ARGV[6], ARGV[7], now)
  release(answer, now)
  close_if_done(now)
end
changed()
return answer

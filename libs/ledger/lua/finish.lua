-- Ends an attempt with what its worker found: the run ends, or waits for another attempt. Releases the next runs.
-- KEYS[1] job.  ARGV 3 index, 4 epoch, 5 nonce of the claim, 6 state, 7 remote, 8 reason or '', 9 exit code or '',
-- 10 '1' if the worker holds another attempt for promising, 11 '1' if the host itself was asked and is at fault,
-- 12 the same end as JSON, 13 bytes of stdout, 14 those that the output limit left out, 15 those in the stored tail,
-- 16 to 18 the same of stderr, 19... field, value, field, value.
-- Returns {'finished' or 'retrying', tickets...} or {'fenced'}.
let_in()
local MISSING = 'Redis had no room for a part of the output, or has forgotten it; those bytes count as omitted'

local key = run_key(ARGV[3])

-- Tells as omitted what Redis does not hold of a stream. Answers whether that is more than the limit left out.
local function own_up(stream, bytes, left_out, tail)
  if bytes == 0 then return false end
  local head = base .. ':out:' .. job_id .. ':' .. ARGV[3] .. ':' .. stream
  local held = redis.call('STRLEN', head)
  if tail > 0 then held = held + redis.call('STRLEN', head .. ':tail') end
  if held + left_out >= bytes then return false end
  -- A tail of the time when the command ran, which could not be replaced.
  if tail == 0 then redis.call('DEL', head .. ':tail') end
  redis.call('HSET', key, stream .. '_omitted', bytes - held, 'incomplete', 1)
  return true
end

local f = redis.call('HMGET', key, 'state', 'epoch', 'ended_nonce', 'host', 'nonce')
-- The same request again: its reply was lost on the way.
if f[3] == ARGV[5] then return {'finished'} end
if (f[1] ~= 'connecting' and f[1] ~= 'running') or f[2] ~= ARGV[4] or f[5] ~= ARGV[5] then
  -- The run was settled without this worker. What it found is kept beside, and changes nothing.
  if f[1] and ARGV[7] ~= 'not_started' and redis.call('HSETNX', key, 'late_result', ARGV[12]) == 1 then
    redis.call('SADD', noticed, ARGV[3])
    changed()
  end
  return {'fenced'}
end
local now = now_ms()
redis.call('HSET', key, 'ended_nonce', ARGV[5], unpack(ARGV, 19))
local is_stdout_short = own_up('stdout', tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15]))
if own_up('stderr', tonumber(ARGV[16]), tonumber(ARGV[17]), tonumber(ARGV[18])) or is_stdout_short then
  local notice = redis.call('HGET', key, 'notice')
  redis.call('HSET', key, 'notice', notice and notice .. '; ' .. MISSING or MISSING)
  redis.call('SADD', noticed, ARGV[3])
end
local tried = redis.call('HGET', key, 'tried')
if tried then redis.call('HDEL', key, 'tried') end
local is_barred_now = f[1] == 'connecting' and note_failure(f[4], ARGV[8], ARGV[11] == '1', tried, now)
local is_retryable = ARGV[10] == '1' and (not is_barred_now or redis.call('HEXISTS', job, 'force') == 1)
local word = 'finished'
if retry(ARGV[3], f[1], ARGV[6], ARGV[7], ARGV[8], ARGV[9], is_retryable, now) then
  word = 'retrying'
else
  settle(ARGV[3], f[1], ARGV[6], ARGV[7], ARGV[8], now)
  release(now)
  close_if_done(now)
end
changed()
return reply(word)

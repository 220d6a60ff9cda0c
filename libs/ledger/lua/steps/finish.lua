-- Ends an attempt with what its worker found: the run ends, or waits for another attempt. Releases the next runs.
-- `reason` and `exit_code` may be ''. `is_retryable` is '1' when the worker thinks another attempt promising;
-- `is_hosts_fault` is '1' when the host itself was asked and is at fault; `tried` is a digest of what it was tried
-- with, or ''; `notice` is what else to know, or ''; `reached` is what the attempt has reached, as JSON, or ''. Of each
-- stream: its bytes, those that the output limit left out, and those in the stored tail. Then fields and their values.
-- Returns {'finished' or 'retrying', tickets...} or {'fenced'}.
local index, epoch, nonce = ARGV[3], ARGV[4], ARGV[5]
local to, remote, reason, exit_code = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local is_retryable, is_hosts_fault, tried, notice = ARGV[10], ARGV[11], ARGV[12], ARGV[13]
local reached = ARGV[14]
local stdout_bytes, stdout_left_out, stdout_tail = ARGV[15], ARGV[16], ARGV[17]
local stderr_bytes, stderr_left_out, stderr_tail = ARGV[18], ARGV[19], ARGV[20]
local fields_from = 21

local MISSING = 'Redis had no room for a part of the output, or has forgotten it; those bytes count as omitted'

let_in()
local key = run_key(index)
local run = read(key, 'state', 'epoch', 'ended_nonce', 'host', 'nonce', 'kept_state')

-- Counts as omitted what Redis does not hold of a stream. Returns whether that is more than the output limit left out.
local function count_missing(stream, bytes, left_out, tail)
  bytes, left_out, tail = tonumber(bytes), tonumber(left_out), tonumber(tail)
  if bytes == 0 then return false end
  local head = head_key(index, stream)
  local held = redis.call('STRLEN', head)
  if tail > 0 then held = held + redis.call('STRLEN', head .. ':tail') end
  if held + left_out >= bytes then return false end
  -- A tail from the time when the command ran, which could not be replaced.
  if tail == 0 then redis.call('DEL', head .. ':tail') end
  -- Not `incomplete`, which is as its worker has signed it.
  redis.call('HSET', key, stream .. '_omitted', bytes - held, 'missing', 1)
  return true
end

-- When an earlier attempt has started the run, what that attempt reached stays.
local function note_reached()
  if reached == '' then return redis.call('HDEL', key, 'reached') end
  -- The dispatch mark has stored it.
  if redis.call('HGET', key, 'reached') ~= reached then redis.call('HSET', key, 'reached', reached) end
end

local function store_result()
  -- This attempt never started: what a started one has left stays, and the end of any other is forgotten.
  local is_beside_kept = run.state == 'connecting' and run.kept_state
  if run.state == 'connecting' and not run.kept_state then forget_end(key) end
  redis.call('HSET', key, 'ended_nonce', nonce, unpack(ARGV, fields_from))
  if not is_beside_kept then note_reached() end
  local is_stdout_short = count_missing('stdout', stdout_bytes, stdout_left_out, stdout_tail)
  local is_stderr_short = count_missing('stderr', stderr_bytes, stderr_left_out, stderr_tail)
  if is_stdout_short or is_stderr_short then add_notice(index, MISSING) end
  if notice ~= '' then add_notice(index, notice) end
end

-- The same request again, because its reply was lost.
if run.ended_nonce == nonce then return {'finished'} end
local is_own = run.epoch == epoch and run.nonce == nonce
if not is_own or not HELD[run.state] then return {'fenced'} end
local now = now_ms()
store_result()
-- Whether the breaker of the host is open now, after what its worker found.
local is_shut = run.state == 'connecting' and note_failure(run.host, reason, is_hosts_fault == '1', tried, now)
local may_retry = is_retryable == '1' and (not is_shut or redis.call('HEXISTS', job, 'force') == 1)
local word = 'finished'
if retry(index, run.state, to, remote, reason, exit_code, may_retry, now) then
  word = 'retrying'
else
  settle(index, run.state, to, remote, reason, now)
  release(now)
  close_if_done(now)
end
changed()
return reply(word)

-- Ends an attempt with what its worker found: the run ends, or waits for another attempt. Releases the next runs.
-- `reason` and `exit_code` may be ''. `is_retryable` is '1' when the worker thinks another attempt promising;
-- `is_hosts_fault` is '1' when the host itself was asked and is at fault; `tried` is a digest of what it was tried
-- with, or ''; `notice` is what else to know, or ''; `reached` is what an attempt that did not start has reached, as
-- JSON, or ''; `late_result` is the same end as JSON. Of each stream: its bytes, those that the output limit left out,
-- and those in the stored tail. Then fields and their values.
-- Returns {'finished' or 'retrying', tickets...} or {'fenced'}.
local index, epoch, nonce = ARGV[3], ARGV[4], ARGV[5]
local to, remote, reason, exit_code = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local is_retryable, is_hosts_fault, tried, notice = ARGV[10], ARGV[11], ARGV[12], ARGV[13]
local reached, late_result = ARGV[14], ARGV[15]
local stdout_bytes, stdout_left_out, stdout_tail = ARGV[16], ARGV[17], ARGV[18]
local stderr_bytes, stderr_left_out, stderr_tail = ARGV[19], ARGV[20], ARGV[21]
local fields_from = 22

local MISSING = 'Redis had no room for a part of the output, or has forgotten it; those bytes count as omitted'

let_in()
local key = run_key(index)
local run = read(key, 'state', 'epoch', 'ended_nonce', 'host', 'nonce', 'kept_state')

-- The run was settled without this worker. What it found is kept beside, and changes nothing else.
local function keep_late_result()
  if not run.state or remote == 'not_started' then return end
  if redis.call('HSETNX', key, 'late_result', late_result) == 0 then return end
  redis.call('SADD', noticed, index)
  changed()
end

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
  redis.call('HSET', key, stream .. '_omitted', bytes - held, 'incomplete', 1)
  return true
end

-- Of a run that has started in an earlier attempt, what that one reached stays.
local function note_reached()
  if run.state ~= 'connecting' or run.kept_state then return end
  if reached == '' then redis.call('HDEL', key, 'reached') else redis.call('HSET', key, 'reached', reached) end
end

local function store_result()
  redis.call('HSET', key, 'ended_nonce', nonce, unpack(ARGV, fields_from))
  note_reached()
  local is_stdout_short = count_missing('stdout', stdout_bytes, stdout_left_out, stdout_tail)
  local is_stderr_short = count_missing('stderr', stderr_bytes, stderr_left_out, stderr_tail)
  if is_stdout_short or is_stderr_short then add_notice(index, MISSING) end
  if notice ~= '' then add_notice(index, notice) end
end

-- The same request again, because its reply was lost.
if run.ended_nonce == nonce then return {'finished'} end
local is_own = run.epoch == epoch and run.nonce == nonce
if not is_own or not HELD[run.state] then
  keep_late_result()
  return {'fenced'}
end
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

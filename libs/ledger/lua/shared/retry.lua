-- Another attempt of a run, and another worker for a durable run.

-- Whether the job asks for another attempt after this end. What never started may be tried again whenever its worker
-- thinks that promising; what started only where `retry_on` lists the state or the exit code.
local function is_retry_wanted(retry_on, to, remote, reason, exit_code, is_retryable)
  if remote == 'not_started' then return is_retryable and to == 'unreachable' end
  if reason == 'job_timeout' then return false end
  local function is_listed(word) return string.find(retry_on, ',' .. word .. ',', 1, true) ~= nil end
  return is_listed(to) or (to == 'failed' and exit_code ~= '' and is_listed(exit_code))
end

-- Milliseconds to wait before the next attempt. The microseconds of the clock add a jitter of one half, so that a fleet
-- which failed together does not come back together.
local function backoff(base_ms, retried)
  return math.floor(tonumber(base_ms) * 2 ^ retried * (0.5 + redis.call('TIME')[2] / 2000000))
end

-- Lets a run wait for another attempt, if it may have one. Returns whether it does.
local function retry(index, from, to, remote, reason, exit_code, is_retryable, now)
  if to == 'succeeded' then return false end
  local facts = read(job, 'retries', 'retry_on', 'backoff_ms', 'stop', 'job_deadline', 'start_deadline',
    'key_id')
  if not is_retry_wanted(facts.retry_on, to, remote, reason, exit_code, is_retryable) then return false end
  local key = run_key(index)
  local run = read(key, 'retried', 'attempt', 'host', 'kept_state', 'kept_remote', 'stop')
  local retried = tonumber(run.retried or 0)
  if retried >= tonumber(facts.retries) or why_not(run, facts, now) then return false end
  local has_started = remote ~= 'not_started'
  local delay = backoff(facts.backoff_ms, retried)
  local due = now + delay
  if facts.job_deadline and due >= tonumber(facts.job_deadline) then return false end
  local is_first_start = not has_started and not run.kept_state
  if is_first_start and due >= tonumber(facts.start_deadline) then return false end

  local shown = remote
  if has_started then
    keep_end(key, to, remote, reason)
  else
    shown = run.kept_remote or remote
    -- The output of the earlier attempt was put aside when this one was dispatched; this one did not start after all.
    if from == 'running' and run.kept_state then bring_back_output(index) end
  end
  leave_host(index, run, now)
  rest(index)
  local attempt = run.attempt + 1
  redis.call('HDEL', key, 'reason', 'reissue', 'called', 'signed')
  redis.call('HSET', key, 'state', 'retry_wait', 'remote', shown, 'retry_at', due, 'retried', retried + 1,
    'attempt', attempt)
  if reason ~= '' then redis.call('HSET', key, 'reason', reason) end
  move(from, 'retry_wait', 1)
  issue_later(index, attempt, due, delay)
  return true
end

-- Offers a durable run, which goes on at its host, to whichever worker takes its ticket, and fences off the present
-- one.
local function offer(index, now)
  local key = run_key(index)
  redis.call('HINCRBY', key, 'epoch', 1)
  local reissue = redis.call('HINCRBY', key, 'reissue', 1)
  redis.call('HSET', key, 'worker', '', 'queued', now)
  local run = read(key, 'host', 'attempt')
  issue_own(index, run.host, run.attempt, reissue)
end

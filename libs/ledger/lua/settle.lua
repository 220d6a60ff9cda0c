-- How runs end, and with them their job. A run is never-ending work until `settle` moves it, once, into a terminal state:
-- counts, the set of open runs, the list of runs that went wrong, the error budget and the end of the job move in that
-- same step.

-- Ends the job when all its runs have ended.
local function close_if_done(now)
  local f = redis.call('HMGET', job, 'total', 'done', 'n:succeeded', 'n:cancelled', 'stop', 'tripped_at')
  local total, succeeded, cancelled = tonumber(f[1]), tonumber(f[3] or 0), tonumber(f[4] or 0)
  if tonumber(f[2] or 0) < total then return end
  local state = 'partial'
  if succeeded == total then state = 'succeeded'
  elseif cancelled == total or (cancelled > 0 and f[5] == 'cancelled_by_user') then state = 'cancelled'
  elseif succeeded == 0 or f[6] then state = 'failed' end
  redis.call('HSET', job, 'state', state, 'ended', now)
  redis.call('SREM', base .. ':active', job_id)
  redis.call('DEL', machines, host_keys)
end

local spend_budget

-- Puts a run that has not ended into a terminal state. The caller has compared state and epoch.
-- An attempt that never started says nothing of an earlier one that did: then the run has that one's end.
local function settle(index, from, to, remote, reason, now)
  local key = run_key(index)
  local kept = redis.call('HMGET', key, 'kept_state', 'kept_remote', 'kept_reason', 'attempt', 'state')
  if kept[5] ~= from then return end
  if remote == 'not_started' and kept[1] then
    -- Only a dispatch puts the output of the attempt before away.
    if from == 'running' then move_output(index, 'kept', '') end
    redis.call('HSET', key, 'notice', 'attempt ' .. (kept[4] or '?') .. ' did not start: ' .. reason)
    redis.call('SADD', noticed, index)
    redis.call('HDEL', key, 'detail')
    to, remote, reason = kept[1], kept[2], kept[3]
  end
  -- A record that is damaged must not keep its run from ending.
  if (tonumber(kept[4]) or 2) > 1 then
    for _, place in ipairs(output_keys(index)) do redis.call('DEL', place .. ':kept') end
  end
  leave_host(index, now)
  redis.call('HSET', key, 'state', to, 'remote', remote, 'ended', now)
  -- What is of no use any more is not kept: there may be a hundred thousand of these.
  redis.call('HDEL', key, 'retry_at', 'nonce', 'waits', 'due', 'called', 'abandoned')
  set_reason(key, reason)
  move(from, to, 1)
  redis.call('HINCRBY', job, 'done', 1)
  rouse(job_id, index)
  if redis.call('SREM', open, index) == 1 then redis.call('DECR', in_flight) end
  if to ~= 'succeeded' then redis.call('RPUSH', wrong, index) end
  if ERRORS[to] then
    redis.call('RPUSH', errors, index)
    spend_budget(now)
  end
end

-- Why a run must not start any more: the state and reason it then ends with. Nothing while it may.
local function why_not(index, now)
  local f = redis.call('HMGET', job, 'stop', 'job_deadline', 'start_deadline')
  local r = redis.call('HMGET', run_key(index), 'stop', 'kept_state')
  if f[1] == 'cancelled_by_user' or r[1] then return 'cancelled', 'cancelled_by_user' end
  if f[1] == 'job_timeout' or (f[2] and tonumber(f[2]) <= now) then return 'skipped', 'job_timeout' end
  if f[1] == 'error_budget' then return 'skipped', 'error_budget' end
  -- The start deadline is for the first start; another attempt after one that ran is not bound by it.
  if not r[2] and tonumber(f[3]) <= now then return 'skipped', 'start_deadline' end
end

-- Lets a run wait for another attempt, if it may have one. Answers whether it does.
-- What never started may be tried again; what did only where the caller said so (retry_on).
local function retry(index, from, to, remote, reason, exit_code, is_retryable, now)
  local f = redis.call('HMGET', job, 'retries', 'retry_on', 'backoff_ms', 'job_deadline', 'start_deadline')
  local key = run_key(index)
  local r = redis.call('HMGET', key, 'retried', 'attempt', 'host', 'kept_state', 'kept_remote')
  local has_started = remote ~= 'not_started'
  local is_wanted
  if not has_started then is_wanted = is_retryable and to == 'unreachable'
  else
    local function listed(word) return string.find(f[2], ',' .. word .. ',', 1, true) ~= nil end
    is_wanted = reason ~= 'job_timeout' and (listed(to) or (to == 'failed' and exit_code ~= '' and listed(exit_code)))
  end
  local retried = tonumber(r[1] or 0)
  if not is_wanted or retried >= tonumber(f[1]) or why_not(index, now) then return false end
  -- Jitter of one half, by the microseconds: a fleet that failed together does not come back together.
  local delay = math.floor(tonumber(f[3]) * 2 ^ retried * (0.5 + redis.call('TIME')[2] / 2000000))
  local due = now + delay
  if f[4] and due >= tonumber(f[4]) then return false end
  if not has_started and not r[4] and due >= tonumber(f[5]) then return false end

  if has_started then
    redis.call('HSET', key, 'kept_state', to, 'kept_remote', remote, 'kept_reason', reason)
  end
  local shown = remote
  if not has_started and r[5] then shown = r[5] end
  -- Only a dispatch puts the output of the attempt before away; this one was not sent after it.
  if not has_started and from == 'running' and r[4] then move_output(index, 'kept', '') end
  leave_host(index, now)
  rest(index)
  redis.call('HSET', key, 'state', 'retry_wait', 'remote', shown, 'retry_at', due, 'retried', retried + 1,
    'attempt', r[2] + 1)
  redis.call('HDEL', key, 'resume')
  set_reason(key, reason)
  move(from, 'retry_wait', 1)
  ticket_later(index, r[2] + 1, due, delay)
  return true
end

-- Hands a durable run that goes on at its host to whichever worker takes its ticket. Fences off the one that had it.
local function resume(index, now)
  local key = run_key(index)
  redis.call('HINCRBY', key, 'epoch', 1)
  local count = redis.call('HINCRBY', key, 'resume', 1)
  redis.call('HSET', key, 'worker', '', 'queued', now)
  local f = redis.call('HMGET', key, 'host', 'attempt')
  ticket(index, f[1], f[2], count)
end

-- Ends everything that no worker holds, as `to` for this reason.
-- Runs that were never released have no record of their own: the job says what became of all of them.
local function close_waiting(to, reason, now)
  local f = redis.call('HMGET', job, 'next', 'total', 'n:pending')
  local pending = tonumber(f[3])
  if pending > 0 then
    redis.call('HSET', job, 'next', f[2], 'rest_from', f[1], 'rest_at', now, 'rest_state', to, 'rest_reason', reason,
      'rest_count', pending)
    move('pending', to, pending)
    redis.call('HINCRBY', job, 'done', pending)
  end
  for _, index in ipairs(redis.call('SMEMBERS', open)) do
    local r = redis.call('HMGET', run_key(index), 'state', 'kept_state')
    local is_waiting = r[1] == 'queued' or r[1] == 'retry_wait'
    if is_waiting and not (r[2] and reason == 'start_deadline') then
      settle(index, r[1], to, 'not_started', reason, now)
    end
  end
end

-- One more host has gone wrong. With more than are tolerated nothing more starts; what runs ends by itself, or is killed.
-- `tripped_at` says how many there were then, so that those can be named.
spend_budget = function(now)
  local f = redis.call('HMGET', job, 'max_errors', 'tripped_at', 'stop', 'on_budget')
  local count = redis.call('LLEN', errors)
  if f[2] or count <= tonumber(f[1]) then return end
  redis.call('HSET', job, 'tripped_at', count)
  if f[3] then return end
  redis.call('HSET', job, 'stop', 'error_budget')
  close_waiting('skipped', 'error_budget', now)
  if f[4] == 'cancel' then order() end
end

-- Whether a run waits that was to start by the deadline: one of the batch that is due, where there are batches.
local function has_late_runs()
  local f = redis.call('HMGET', job, 'next', 'total', 'batch_end', 'state')
  if f[4] == 'paused' or tonumber(f[1]) < tonumber(f[3] or f[2]) then return true end
  for _, index in ipairs(redis.call('SMEMBERS', open)) do
    local r = redis.call('HMGET', run_key(index), 'state', 'kept_state')
    if (r[1] == 'queued' or r[1] == 'retry_wait') and not r[2] then return true end
  end
  return false
end

-- No clock of the job may have longer to run than it was given: one that has is from before Redis' clock was set back, and
-- begins anew.
local function rewind(now)
  local f = redis.call('HMGET', job, 'batch_due', 'batch_pause_ms', 'start_deadline', 'start_within_ms', 'job_deadline',
    'job_within_ms')
  local function at_most(field, at, latest)
    if not at or not latest or tonumber(at) <= latest then return tonumber(at) end
    redis.call('HSET', job, field, latest)
    return latest
  end
  local due = at_most('batch_due', f[1], f[2] and now + f[2])
  at_most('start_deadline', f[3], f[4] and math.max(now, due or now) + f[4])
  at_most('job_deadline', f[5], f[6] and now + f[6])
end

-- Ends what the clocks of the job have ended. A batch that did not start in time takes those after it along.
local function expire(now)
  rewind(now)
  local f = redis.call('HMGET', job, 'stop', 'job_deadline', 'start_deadline', 'ended')
  if f[4] then return end
  if f[2] and tonumber(f[2]) <= now and (not f[1] or f[1] == 'error_budget') then
    redis.call('HSET', job, 'stop', 'job_timeout')
    close_waiting('skipped', 'job_timeout', now)
    order()
  elseif not f[1] and tonumber(f[3]) <= now and has_late_runs() then
    close_waiting('skipped', 'start_deadline', now)
  end
end

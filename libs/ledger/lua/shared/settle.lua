-- How runs end, and their job with them. `settle` moves a run into a terminal state, once. The counts, the open runs,
-- the list of what went wrong, the error budget and the end of the job move in the same step.

-- The state in which a job ends.
local function end_state(total, succeeded, cancelled, facts)
  if succeeded == total then return 'succeeded' end
  if cancelled == total or (cancelled > 0 and facts.stop == 'cancelled_by_user') then return 'cancelled' end
  if succeeded == 0 or facts.tripped_at then return 'failed' end
  return 'partial'
end

-- Nobody needs the sealed secrets of a job that has ended, unless it is to be run again with them.
local function forget_secrets()
  local facts = read(job, 'secrets_bytes', 'keep_secrets')
  if not facts.secrets_bytes or facts.keep_secrets then return end
  redis.call('DEL', job .. ':secrets')
  redis.call('HDEL', job, 'secrets_bytes')
end

-- Ends the job when all its runs have ended.
local function close_if_done(now)
  local facts = read(job, 'total', 'done', 'n:succeeded', 'n:cancelled', 'stop', 'tripped_at')
  local total = tonumber(facts.total)
  if tonumber(facts.done or 0) < total then return end
  local succeeded, cancelled = tonumber(facts['n:succeeded'] or 0), tonumber(facts['n:cancelled'] or 0)
  redis.call('HSET', job, 'state', end_state(total, succeeded, cancelled, facts), 'ended', now)
  forget_waiting()
  redis.call('SREM', base .. ':active', job_id)
  redis.call('DEL', machines, host_keys)
  forget_secrets()
end

local spend_budget

-- How a run ends: as it was told, or as an earlier attempt that had started, when this attempt did not start.
local function end_of(index, run, from, to, remote, reason)
  if remote ~= 'not_started' or not run.kept_state then return to, remote, reason end
  -- The output of the earlier attempt was put aside only if this attempt was dispatched.
  if from == 'running' then bring_back_output(index) end
  local key = run_key(index)
  redis.call('HSET', key, 'notice', 'attempt ' .. (run.attempt or '?') .. ' did not start: ' .. reason)
  redis.call('SADD', noticed, index)
  bring_back_end(key)
  return run.kept_state, run.kept_remote, run.kept_reason
end

-- Puts a run into a terminal state. The caller has checked the claim, if there is one.
local function settle(index, from, to, remote, reason, now)
  local key = run_key(index)
  local run = read(key, 'kept_state', 'kept_remote', 'kept_reason', 'attempt', 'state', 'host')
  if run.state ~= from then return end
  to, remote, reason = end_of(index, run, from, to, remote, reason)
  -- A damaged record must not keep its run from ending.
  if (tonumber(run.attempt) or 2) > 1 then drop_kept_output(index) end
  leave_host(index, run, now)
  leave_key(index)
  -- Drops what is of no use any more: a job may have a hundred thousand of these.
  redis.call('HDEL', key, 'reason', 'retry_at', 'nonce', 'waits', 'due', 'called', 'abandoned')
  redis.call('HSET', key, 'state', to, 'remote', remote, 'ended', now)
  if reason ~= '' then redis.call('HSET', key, 'reason', reason) end
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

-- Ends the runs that were never released. They have no records; the job says what became of all of them.
local function close_pending(to, reason, now)
  local facts = read(job, 'next', 'total', 'n:pending')
  local pending = tonumber(facts['n:pending'])
  if pending == 0 then return end
  redis.call('HSET', job, 'next', facts.total, 'rest_from', facts.next, 'rest_at', now, 'rest_state', to,
    'rest_reason', reason, 'rest_count', pending)
  move('pending', to, pending)
  redis.call('HINCRBY', job, 'done', pending)
end

-- Ends every run that no worker holds. A start deadline does not end a run that has started before.
local function close_waiting(to, reason, now)
  close_pending(to, reason, now)
  for _, index in ipairs(redis.call('SMEMBERS', open)) do
    local run = read(run_key(index), 'state', 'kept_state')
    local is_bound = reason ~= 'start_deadline' or not run.kept_state
    if WAITING[run.state] and is_bound then settle(index, run.state, to, 'not_started', reason, now) end
  end
end

-- Counts the errors. With more than are tolerated nothing more starts; what runs ends by itself, or is killed.
-- `tripped_at` says how many errors there were then, so that those can be named.
spend_budget = function(now)
  local facts = read(job, 'max_errors', 'tripped_at', 'stop', 'on_budget')
  local count = redis.call('LLEN', errors)
  if facts.tripped_at or count <= tonumber(facts.max_errors) then return end
  redis.call('HSET', job, 'tripped_at', count)
  if facts.stop and facts.stop ~= 'key_revoked' then return end
  redis.call('HSET', job, 'stop', 'error_budget')
  close_waiting('skipped', 'error_budget', now)
  if facts.on_budget == 'cancel' then order() end
end

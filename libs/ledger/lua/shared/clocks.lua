-- The clocks of a job: the start deadline of its batch, its own time limit, and the pause before a batch.

-- Shortens a clock that ends later than `latest`, and returns when it ends. Nil when there is no such clock.
local function at_most(field, at, latest)
  if not at or not latest or tonumber(at) <= latest then return tonumber(at) end
  redis.call('HSET', job, field, latest)
  return latest
end

-- No clock may have longer to run than it was given. One that has was set before Redis' clock was set back, and begins
-- anew.
local function rewind(now)
  local facts = read(job, 'batch_due', 'batch_pause_ms', 'start_deadline', 'start_within_ms', 'job_deadline',
    'job_within_ms')
  local due = at_most('batch_due', facts.batch_due, facts.batch_pause_ms and now + facts.batch_pause_ms)
  local start = math.max(now, due or now)
  at_most('start_deadline', facts.start_deadline, facts.start_within_ms and start + facts.start_within_ms)
  at_most('job_deadline', facts.job_deadline, facts.job_within_ms and now + facts.job_within_ms)
end

-- Whether a run waits that was to start by the deadline: one of the present batch, if there are batches.
local function has_late_runs()
  local facts = read(job, 'next', 'total', 'batch_end', 'state')
  if facts.state == 'paused' or tonumber(facts.next) < tonumber(facts.batch_end or facts.total) then return true end
  for _, index in ipairs(redis.call('SMEMBERS', open)) do
    local run = read(run_key(index), 'state', 'kept_state')
    if WAITING[run.state] and not run.kept_state then return true end
  end
  return false
end

-- Ends what the clocks have ended. A batch that did not start in time takes those after it along.
local function expire(now)
  rewind(now)
  local facts = read(job, 'stop', 'job_deadline', 'start_deadline', 'ended')
  if facts.ended then return end
  local is_over = facts.job_deadline and tonumber(facts.job_deadline) <= now
  if is_over and (not facts.stop or facts.stop == 'error_budget') then
    redis.call('HSET', job, 'stop', 'job_timeout')
    close_waiting('skipped', 'job_timeout', now)
    order()
  elseif not facts.stop and tonumber(facts.start_deadline) <= now and has_late_runs() then
    close_waiting('skipped', 'start_deadline', now)
  end
end

-- Why a run must not start any more: the state and the reason with which it then ends. Nothing while it may start.
local function why_not(index, now)
  local facts = read(job, 'stop', 'job_deadline', 'start_deadline')
  local run = read(run_key(index), 'stop', 'kept_state')
  if facts.stop == 'cancelled_by_user' or run.stop then return 'cancelled', 'cancelled_by_user' end
  local is_over = facts.job_deadline and tonumber(facts.job_deadline) <= now
  if facts.stop == 'job_timeout' or is_over then return 'skipped', 'job_timeout' end
  if facts.stop == 'error_budget' then return 'skipped', 'error_budget' end
  -- The start deadline is for the first start; a retry of a run that has started is not bound by it.
  if not run.kept_state and tonumber(facts.start_deadline) <= now then return 'skipped', 'start_deadline' end
end

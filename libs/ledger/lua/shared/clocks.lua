-- The clocks of a job: the start deadline of its batch, its own time limit, and the pause before a batch.

-- Shortens a clock that ends later than `latest`, and returns when it ends. Nil when there is no such clock.
local function at_most(field, at, latest)
  if not at or not latest or tonumber(at) <= latest then return tonumber(at) end
  redis.call('HSET', job, field, latest)
  return latest
end

-- Reads the clocks, what else decides whether a job goes on, and the fields that are named beside. No clock may have
-- longer to run than it was given: one that has was set before Redis' clock was set back, and starts again.
local function read_clocks(now, ...)
  local facts = read(job, 'batch_due', 'batch_pause_ms', 'start_deadline', 'start_within_ms', 'job_deadline',
    'job_within_ms', 'stop', 'ended', ...)
  local pause, start_within, within = facts.batch_pause_ms, facts.start_within_ms, facts.job_within_ms
  facts.batch_due = at_most('batch_due', facts.batch_due, pause and now + pause)
  local start = math.max(now, facts.batch_due or now)
  facts.start_deadline = at_most('start_deadline', facts.start_deadline, start_within and start + start_within)
  facts.job_deadline = at_most('job_deadline', facts.job_deadline, within and now + within)
  return facts
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

-- Ends what the clocks have ended. A batch that did not start in time takes those after it along. Returns what
-- `read_clocks` reads after that.
local function expire(now, ...)
  local facts = read_clocks(now, ...)
  if facts.ended then return facts end
  local is_over = facts.job_deadline and facts.job_deadline <= now
  if is_over and (not facts.stop or facts.stop == 'error_budget' or facts.stop == 'key_revoked') then
    redis.call('HSET', job, 'stop', 'job_timeout')
    close_waiting('skipped', 'job_timeout', now)
    order()
  elseif not facts.stop and facts.start_deadline <= now and has_late_runs() then
    close_waiting('skipped', 'start_deadline', now)
  else
    return facts
  end
  return read_clocks(now, ...)
end

-- Ends what waits when the key of the job was revoked or has expired. What runs goes on.
local function expire_key(now)
  local facts = read(job, 'stop', 'ended', 'key_id')
  if facts.stop or facts.ended or not is_key_void(facts.key_id, now) then return end
  redis.call('HSET', job, 'stop', 'key_revoked')
  close_waiting('skipped', 'key_revoked', now)
end

-- Why a run must not start any more: the state and the reason with which it then ends. Nothing while it may start.
-- `run` has its fields `stop` and `kept_state`; `facts` are `stop`, `job_deadline`, `start_deadline` and `key_id` of
-- the job.
local function why_not(run, facts, now)
  if facts.stop == 'cancelled_by_user' or run.stop then return 'cancelled', 'cancelled_by_user' end
  local is_over = facts.job_deadline and tonumber(facts.job_deadline) <= now
  if facts.stop == 'job_timeout' or is_over then return 'skipped', 'job_timeout' end
  if facts.stop == 'error_budget' then return 'skipped', 'error_budget' end
  if facts.stop == 'key_revoked' or is_key_void(facts.key_id, now) then return 'skipped', 'key_revoked' end
  -- The start deadline is for the first start; a retry of a run that has started is not bound by it.
  if not run.kept_state and tonumber(facts.start_deadline) <= now then return 'skipped', 'start_deadline' end
end

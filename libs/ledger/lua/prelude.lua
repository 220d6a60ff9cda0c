-- Shared by every script; put in front of each. ARGV[1] is the base of all key names, ARGV[2] the job ID.
-- A run is never-ending work until `settle` moves it, once, into a terminal state: counts, the set of open runs,
-- the list of runs that went wrong and the end of the job move in that same step. The model of all of it, in one
-- pure function with its table in words, is src/state-machine.ts.

local base, job_id = ARGV[1], ARGV[2]
local job = base .. ':job:' .. job_id
local hosts, open, wrong = job .. ':hosts', job .. ':open', job .. ':wrong'
local noticed = job .. ':noticed'

local TERMINAL = {succeeded = true, failed = true, timed_out = true, unreachable = true, cancelled = true,
  skipped = true, lost = true}

local function run_key(index) return base .. ':run:' .. job_id .. ':' .. index end

-- Milliseconds by Redis' own clock: the only clock that decides anything.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function move(from, to, count)
  redis.call('HINCRBY', job, 'n:' .. from, -count)
  redis.call('HINCRBY', job, 'n:' .. to, count)
  redis.call('HINCRBY', job, 'version', 1)
end

local function changed() redis.call('PUBLISH', base .. ':changed', job_id) end

-- Tells the workers that hold runs of this job to look at it: it is to stop, or a limit was raised.
local function order() redis.call('PUBLISH', base .. ':orders', job_id) end

-- Ends the job when all its runs have ended.
local function close_if_done(now)
  local f = redis.call('HMGET', job, 'total', 'done', 'n:succeeded', 'n:cancelled', 'stop')
  local total, succeeded, cancelled = tonumber(f[1]), tonumber(f[3] or 0), tonumber(f[4] or 0)
  if tonumber(f[2] or 0) < total then return end
  local state = 'partial'
  if succeeded == total then state = 'succeeded'
  elseif cancelled == total or (cancelled > 0 and f[5] == 'cancelled_by_user') then state = 'cancelled'
  elseif succeeded == 0 then state = 'failed' end
  redis.call('HSET', job, 'state', state, 'ended', now)
  redis.call('SREM', base .. ':active', job_id)
end

-- What a run says of its output, and where the output is.
local OUTPUT_FIELDS = {'stdout', 'stderr', 'stdout_omitted', 'stderr_omitted', 'stdout_sha256', 'stderr_sha256', 'digest',
  'incomplete', 'exit_code', 'signal'}

local function output_keys(index)
  local keys = {}
  for _, stream in ipairs({'stdout', 'stderr'}) do
    local head = base .. ':out:' .. job_id .. ':' .. index .. ':' .. stream
    keys[#keys + 1] = head
    keys[#keys + 1] = head .. ':tail'
  end
  return keys
end

-- Puts the output of an attempt away, or takes it back in place of what is there: from = '' and to = 'kept', or the
-- other way round. What stands at the destination is gone.
local function move_output(index, from, to)
  local key = run_key(index)
  local from_field, to_field = from == '' and '' or from .. '_', to == '' and '' or to .. '_'
  for _, field in ipairs(OUTPUT_FIELDS) do
    local value = redis.call('HGET', key, from_field .. field)
    redis.call('HDEL', key, from_field .. field, to_field .. field)
    if value then redis.call('HSET', key, to_field .. field, value) end
  end
  local from_key, to_key = from == '' and '' or ':' .. from, to == '' and '' or ':' .. to
  for _, place in ipairs(output_keys(index)) do
    redis.call('DEL', place .. to_key)
    if redis.call('EXISTS', place .. from_key) == 1 then redis.call('RENAME', place .. from_key, place .. to_key) end
  end
end

local function set_reason(key, reason)
  if reason == '' then redis.call('HDEL', key, 'reason') else redis.call('HSET', key, 'reason', reason) end
end

-- Puts a run that has not ended into a terminal state. The caller has compared state and epoch.
-- An attempt that never started says nothing of an earlier one that did: then the run has that one's end.
local function settle(index, from, to, remote, reason, now)
  local key = run_key(index)
  if remote == 'not_started' then
    local kept = redis.call('HMGET', key, 'kept_state', 'kept_remote', 'kept_reason', 'attempt')
    if kept[1] then
      -- Only a dispatch puts the output of the attempt before away.
      if from == 'running' then move_output(index, 'kept', '') end
      redis.call('HSET', key, 'notice', 'attempt ' .. kept[4] .. ' did not start: ' .. reason)
      redis.call('SADD', noticed, index)
      redis.call('HDEL', key, 'detail')
      to, remote, reason = kept[1], kept[2], kept[3]
    end
  end
  if tonumber(redis.call('HGET', key, 'attempt')) > 1 then
    for _, place in ipairs(output_keys(index)) do redis.call('DEL', place .. ':kept') end
  end
  redis.call('HSET', key, 'state', to, 'remote', remote, 'ended', now)
  redis.call('HDEL', key, 'retry_at')
  set_reason(key, reason)
  move(from, to, 1)
  redis.call('HINCRBY', job, 'done', 1)
  redis.call('SREM', open, index)
  if to ~= 'succeeded' then redis.call('RPUSH', wrong, index) end
end

-- Why a run must not start any more: the state and reason it then ends with. Nothing while it may.
local function why_not(index, now)
  local f = redis.call('HMGET', job, 'stop', 'job_deadline', 'start_deadline')
  local r = redis.call('HMGET', run_key(index), 'stop', 'kept_state')
  if f[1] == 'cancelled_by_user' or r[1] then return 'cancelled', 'cancelled_by_user' end
  if f[1] == 'job_timeout' or (f[2] and tonumber(f[2]) <= now) then return 'skipped', 'job_timeout' end
  -- The start deadline is for the first start; another attempt after one that ran is not bound by it.
  if not r[2] and tonumber(f[3]) <= now then return 'skipped', 'start_deadline' end
end

-- One run to issue a ticket for: five values. `resume` counts how often a durable run was handed to another worker.
local function ticket(list, index, host, attempt, resume, delay_ms)
  for _, word in ipairs({index, host, attempt, resume, delay_ms}) do list[#list + 1] = tostring(word) end
end

-- Lets a run wait for another attempt, if it may have one, and puts its ticket on the list. Answers whether it does.
-- What never started may be tried again; what did only where the caller said so (retry_on).
local function retry(list, index, from, to, remote, reason, exit_code, is_retryable, now)
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
  local retried = tonumber(r[1])
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
  redis.call('HSET', key, 'state', 'retry_wait', 'remote', shown, 'retry_at', due, 'retried', retried + 1,
    'attempt', r[2] + 1, 'resume', 0)
  set_reason(key, reason)
  move(from, 'retry_wait', 1)
  ticket(list, index, r[3], r[2] + 1, 0, delay)
  return true
end

-- Hands a durable run that goes on at its host to whichever worker takes its ticket. Fences off the one that had it.
local function resume(list, index, now)
  local key = run_key(index)
  redis.call('HINCRBY', key, 'epoch', 1)
  local count = redis.call('HINCRBY', key, 'resume', 1)
  redis.call('HSET', key, 'worker', '', 'queued', now)
  local f = redis.call('HMGET', key, 'host', 'attempt')
  ticket(list, index, f[1], f[2], count, 0)
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

-- Ends what the clocks of the job have ended.
local function expire(now)
  local f = redis.call('HMGET', job, 'stop', 'job_deadline', 'start_deadline', 'state')
  if f[1] or (f[4] ~= 'queued' and f[4] ~= 'running') then return end
  if f[2] and tonumber(f[2]) <= now then
    redis.call('HSET', job, 'stop', 'job_timeout')
    close_waiting('skipped', 'job_timeout', now)
    order()
  elseif tonumber(f[3]) <= now then
    close_waiting('skipped', 'start_deadline', now)
  end
end

-- Lets the next pending runs go, up to the fan-out. Puts their tickets on the list.
local function release(list, now)
  expire(now)
  local f = redis.call('HMGET', job, 'state', 'next', 'total', 'concurrency', 'stop')
  if f[5] or (f[1] ~= 'queued' and f[1] ~= 'running') then return end
  local first, index, total = tonumber(f[2]), tonumber(f[2]), tonumber(f[3])
  local free = tonumber(f[4]) - redis.call('SCARD', open)
  local count = 0
  while count < free and index < total do
    -- A run that was cancelled by itself while it was pending has a record already.
    if redis.call('EXISTS', run_key(index)) == 0 then
      local host = redis.call('LINDEX', hosts, index)
      redis.call('HSET', run_key(index), 'state', 'queued', 'remote', 'not_started', 'host', host,
        'epoch', 0, 'attempt', 1, 'resume', 0, 'retried', 0, 'queued', now)
      redis.call('SADD', open, index)
      ticket(list, index, host, 1, 0, 0)
      count = count + 1
    end
    index = index + 1
  end
  if index > first then redis.call('HSET', job, 'next', index) end
  if count > 0 then move('pending', 'queued', count) end
end

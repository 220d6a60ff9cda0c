-- Settles a run whose worker let its lease run out, or lives and does not know of the run (Redis forgot that it ended,
-- for example). The epoch fences off a worker that only slept.
-- A run that was not dispatched is queued again, as a new attempt. Of one that was, nobody can know whether the command
-- ran, so it is lost; but a durable run goes on at its host, and another worker takes it over.
-- `take_over_ms` is how long after its exec timeout a durable run must be taken over; `unknown_nonce` is the nonce of a
-- claim that the living worker does not know, or ''.
-- Returns {'requeued', 'handed_over', 'retrying' or 'lost', tickets...} or {'held'}.
local index, worker, take_over_ms, unknown_nonce = ARGV[3], ARGV[4], ARGV[5], ARGV[6]

-- A run that takes its workers down with it must not do so for ever.
local MOST_ABANDONED = 3

let_in()
local key = run_key(index)
local run = read(key, 'state', 'worker', 'host', 'attempt', 'mode', 'started', 'kept_remote', 'nonce', 'stop',
  'kept_state')

-- Whether the worker of the run may still bring it to an end.
local function is_held()
  if not HELD[run.state] or run.worker ~= worker then return true end
  if worker == '' or run.nonce == unknown_nonce then return false end
  return redis.call('EXISTS', base .. ':worker:' .. worker) == 1
end

-- Mends a start time that is in the future, because Redis' clock was set back, or cannot be read: the command gets its
-- whole exec timeout from now on.
local function mend_start(now)
  if not run.started and run.state == 'connecting' then return end
  if (tonumber(run.started) or math.huge) <= now then return end
  run.started = now
  redis.call('HSET', key, 'started', now)
end

-- Why a run must not be queued again. Nil when it may be.
local function why_not_again(now)
  local to, reason = why_not(run, read(job, 'stop', 'job_deadline', 'start_deadline', 'key_id'), now)
  if to then return to, reason end
  if redis.call('HINCRBY', key, 'abandoned', 1) < MOST_ABANDONED then return nil end
  redis.call('HSET', key, 'detail', 'each worker that took it died or was out of reach before the command was sent')
  return 'unreachable', 'worker_lost'
end

local function requeue(now)
  leave_host(index, run, now)
  local attempt = redis.call('HINCRBY', key, 'attempt', 1)
  redis.call('HDEL', key, 'reissue', 'called')
  redis.call('HSET', key, 'state', 'queued', 'remote', run.kept_remote or 'not_started', 'queued', now)
  move('connecting', 'queued', 1)
  issue_own(index, run.host, attempt, 0)
  return 'requeued'
end

local function settle_connecting(now)
  redis.call('HINCRBY', key, 'epoch', 1)
  -- It may have been the probe of its host. Then another run may be.
  end_probe(run.host)
  local to, reason = why_not_again(now)
  if not to then return requeue(now) end
  settle(index, run.state, to, 'not_started', reason, now)
  return 'lost'
end

local function settle_running(now)
  redis.call('HINCRBY', key, 'epoch', 1)
  redis.call('HSET', key, 'detail', 'its worker died or was out of reach while the command ran')
  if retry(index, run.state, 'lost', 'unknown', 'worker_lost', '', false, now) then return 'retrying' end
  settle(index, run.state, 'lost', 'unknown', 'worker_lost', now)
  return 'lost'
end

-- Whether a durable run may still be taken over.
local function may_go_on(now)
  if run.mode ~= 'durable' then return false end
  return now < run.started + redis.call('HGET', job, 'exec_timeout_ms') + take_over_ms
end

if is_held() then return {'held'} end
local now = now_ms()
mend_start(now)
local word
if run.state == 'connecting' then
  word = settle_connecting(now)
elseif may_go_on(now) then
  -- A run that waits for a worker has its ticket already.
  if run.worker == '' then return {'held'} end
  offer(index, now)
  word = 'handed_over'
else
  word = settle_running(now)
end
release(now)
close_if_done(now)
changed()
return reply(word)

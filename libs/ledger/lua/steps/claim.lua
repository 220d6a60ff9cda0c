-- Gives a run to a worker. This compare-and-set, not BullMQ, decides who runs it: BullMQ may deliver a ticket twice.
-- `attempt` and `reissue` are those of the ticket; `nonce` names this request; `tried` is a digest of what would be
-- tried at the host, '' until that is asked for, or '-' when nobody knows.
-- Returns {'claimed', what CLAIMED_FIELDS names, tickets...};
-- {'waits', tickets...} for a place at the host;
-- {'tried with', host, 'connect' or 'auth', tickets...} when the answer depends on `tried`;
-- {'over', tickets...} when the run ended here, because it must not start any more;
-- or {why there is nothing to do}.
local index, attempt, reissue, worker, nonce, tried = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]

-- `started_ago_ms` is '' when the command is to start, `job_left_ms` when the job has no time limit.
local CLAIMED_FIELDS = {'epoch', 'host', 'started_ago_ms', 'job_left_ms', 'exec_timeout_ms', 'concurrency', 'total'}

let_in()
local now = now_ms()
local key = run_key(index)
local run = read(key, 'state', 'attempt', 'reissue', 'host', 'nonce', 'epoch', 'worker', 'started', 'reason', 'stop',
  'kept_state')

local function read_facts()
  return read(job, 'state', 'stop', 'batch_due', 'start_deadline', 'job_deadline', 'key_id', 'exec_timeout_ms',
    'concurrency', 'total')
end

local facts = read_facts()

local function claimed(epoch, how)
  local claim = {epoch = epoch, host = run.host, started_ago_ms = '', job_left_ms = ''}
  -- Redis' clock may have been set back since.
  if how == 'attach' then claim.started_ago_ms = math.max(0, now - run.started) end
  if facts.job_deadline then claim.job_left_ms = facts.job_deadline - now end
  claim.exec_timeout_ms, claim.concurrency, claim.total = facts.exec_timeout_ms, facts.concurrency, facts.total
  local words = {}
  for i, field in ipairs(CLAIMED_FIELDS) do words[i] = tostring(claim[field]) end
  return reply('claimed', unpack(words))
end

-- Takes a durable run that goes on at its host and that no worker holds.
local function take_over()
  local epoch = redis.call('HINCRBY', key, 'epoch', 1)
  redis.call('HSET', key, 'worker', worker, 'nonce', nonce)
  changed()
  return claimed(epoch, 'attach')
end

-- Claims the first ticket of a batch, after the pause before it: now the other runs may go as well. Returns false for a
-- ticket that comes too early, because it was issued before Redis' clock was set back; it comes again.
local function end_pause()
  local clocks = read_clocks(now)
  if clocks.batch_due > now then
    redis.call('HSET', key, 'due', clocks.batch_due)
    issue_later(index, attempt, clocks.batch_due, clocks.batch_pause_ms)
    return false
  end
  redis.call('HDEL', job, 'batch_due')
  rouse(job_id, index)
  release(now)
  facts = read_facts()
  return true
end

-- How a run ends that its host's breaker holds off.
local function end_barred(breaker)
  redis.call('HSET', key, 'barred_kind', breaker.kind, 'barred_until', breaker['until'])
  -- An attempt that has failed already says more than that the next one is not made.
  if run.state == 'retry_wait' and run.reason then return 'unreachable', run.reason end
  return 'skipped', 'breaker_open'
end

-- Ends the run as never started. It may have been ended before, with all that waited.
local function end_here(to, reason)
  settle(index, run.state, to, 'not_started', reason, now)
  release(now)
  close_if_done(now)
  changed()
  return reply('over')
end

local function start()
  local epoch = redis.call('HINCRBY', key, 'epoch', 1)
  redis.call('HSET', key, 'state', 'connecting', 'worker', worker, 'nonce', nonce, 'connecting', now)
  redis.call('HDEL', key, 'retry_at', 'waits', 'due', 'called')
  rouse(job_id, index)
  move(run.state, 'connecting', 1)
  if facts.state == 'queued' then redis.call('HSET', job, 'state', 'running', 'started', now) end
  changed()
  return claimed(epoch, 'start')
end

if not run.state then return {'gone'} end
-- A ticket of an earlier attempt, or from before the run changed hands, asks for nothing any more.
if run.attempt ~= attempt or (run.reissue or '0') ~= reissue then return {'stale'} end
if TERMINAL[run.state] then return {'ended'} end
-- The same request again, because its reply was lost. It is the same claim.
if run.nonce == nonce and run.state == 'connecting' then return claimed(run.epoch, 'start') end
if run.nonce == nonce and run.state == 'running' then return claimed(run.epoch, 'attach') end
if run.state == 'running' and run.worker == '' then return take_over() end
-- Another worker has it. If that worker is dead, the sweep settles the run; a second delivery never starts it.
if not WAITING[run.state] then return {'held'} end

if facts.batch_due and not end_pause() then return {'early'} end

local to, reason = why_not(run, facts, now)
-- All that waits ends at once, also what has no ticket yet.
if reason == 'key_revoked' then expire_key(now) end
if to then return end_here(to, reason) end
local breaker = breaker_before(run.host, now)
if breaker and breaker.is_shut and tried == '' then return reply('tried with', run.host, breaker.kind) end
if not enter_host(index, run.host, attempt, now) then
  redis.call('HSET', key, 'waits', now)
  rest(index)
  return reply('waits')
end
if breaker and is_barred(run.host, breaker, now, tried) then return end_here(end_barred(breaker)) end
return start()

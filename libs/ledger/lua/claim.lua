-- Gives a run to a worker. This compare-and-set, not BullMQ, decides who runs it: BullMQ may deliver twice.
-- KEYS[1] job.  ARGV 3 index, 4 attempt and 5 resume of the ticket, 6 worker, 7 nonce of this request, 8 a
-- digest of what would be tried at the host, '' until that is asked for, or '-' where nobody can say.
-- Returns {'claimed', epoch, host, 'start' or 'attach', ms since its start or '', ms to the end of the job or '', ms the
-- command may take, tickets...}, {'waits', tickets...} for a place at its host,
-- {'tried with', host, 'connect' or 'auth', tickets...} when it depends on ARGV[8], {'over', tickets...} when the run ended
-- here because it must not start any more, or {why not}.
let_in()
local key = run_key(ARGV[3])
local f = redis.call('HMGET', key, 'state', 'attempt', 'resume', 'host', 'nonce', 'epoch', 'worker', 'started', 'reason')
local now = now_ms()

local function claimed(epoch, how)
  local j = redis.call('HMGET', job, 'job_deadline', 'exec_timeout_ms')
  local since, left = '', ''
  -- Redis' clock may have been set back since.
  if how == 'attach' then since = tostring(math.max(0, now - f[8])) end
  if j[1] then left = tostring(j[1] - now) end
  return reply('claimed', tostring(epoch), f[4], how, since, left, j[2])
end

if not f[1] then return {'gone'} end
-- A ticket of an earlier attempt, or from before the run changed hands, has nothing left to ask for.
if f[2] ~= ARGV[4] or (f[3] or '0') ~= ARGV[5] then return {'stale'} end
if TERMINAL[f[1]] then return {'ended'} end
-- The same request again: its reply was lost on the way. It is the same claim.
if f[5] == ARGV[7] and f[1] == 'connecting' then return claimed(f[6], 'start') end
if f[5] == ARGV[7] and f[1] == 'running' then return claimed(f[6], 'attach') end

-- A durable run that goes on at its host, and that no worker holds.
if f[1] == 'running' and f[7] == '' then
  local epoch = redis.call('HINCRBY', key, 'epoch', 1)
  redis.call('HSET', key, 'worker', ARGV[6], 'nonce', ARGV[7])
  changed()
  return claimed(epoch, 'attach')
end
-- Someone has it. If that worker is dead, the sweep settles the run; a second delivery never starts it.
if f[1] ~= 'queued' and f[1] ~= 'retry_wait' then return {'held'} end

-- The first ticket of a batch, after the pause before it: now the others may go as well. One that comes too early was
-- issued before Redis' clock was set back, and comes again.
local j = redis.call('HMGET', job, 'batch_due', 'state')
if j[1] then
  rewind(now)
  local b = redis.call('HMGET', job, 'batch_due', 'batch_pause_ms')
  if tonumber(b[1]) > now then
    redis.call('HSET', key, 'due', b[1])
    ticket_later(ARGV[3], ARGV[4], b[1], b[2])
    return {'early'}
  end
  redis.call('HDEL', job, 'batch_due')
  rouse(job_id, ARGV[3])
  release(now)
end

local to, reason = why_not(ARGV[3], now)
if not to then
  local kind = ARGV[8] == '' and shut_by(f[4], now)
  if kind then return reply('tried with', f[4], kind) end
  if not enter_host(ARGV[3], ARGV[4], now) then
    redis.call('HSET', key, 'waits', now)
    rest(ARGV[3])
    return reply('waits')
  end
  if is_barred(f[4], now, ARGV[8]) then
    to, reason = 'skipped', 'breaker_open'
    local b = redis.call('HMGET', breaker_of(f[4]), 'kind', 'until')
    redis.call('HSET', key, 'barred_kind', b[1], 'barred_until', b[2])
    -- An attempt that has failed already says more than that the next one is not made.
    if f[1] == 'retry_wait' and f[9] then to, reason = 'unreachable', f[9] end
  end
end
if to then
  -- It may have been ended above, with all that waited.
  settle(ARGV[3], f[1], to, 'not_started', reason, now)
  release(now)
  close_if_done(now)
  changed()
  return reply('over')
end

local epoch = redis.call('HINCRBY', key, 'epoch', 1)
redis.call('HSET', key, 'state', 'connecting', 'worker', ARGV[6], 'nonce', ARGV[7], 'connecting', now)
redis.call('HDEL', key, 'retry_at', 'waits', 'due', 'called')
rouse(job_id, ARGV[3])
move(f[1], 'connecting', 1)
if j[2] == 'queued' then redis.call('HSET', job, 'state', 'running', 'started', now) end
changed()
return claimed(epoch, 'start')

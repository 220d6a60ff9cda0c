-- Gives a run to a worker. This compare-and-set, not BullMQ, decides who runs it: BullMQ may deliver twice.
-- KEYS[1] job.  ARGV 3 index, 4 attempt and 5 resume of the ticket, 6 worker, 7 nonce of this request.
-- Returns {'claimed', epoch, host, 'start' or 'attach', ms since its start or '', ms to the end of the job or ''},
-- {'over', tickets...} when the run ended here because it must not start any more, or {why not}.
local key = run_key(ARGV[3])
local f = redis.call('HMGET', key, 'state', 'attempt', 'resume', 'host', 'nonce', 'epoch', 'worker', 'started')
local now = now_ms()

local function claimed(epoch, how)
  local deadline = redis.call('HGET', job, 'job_deadline')
  local since, left = '', ''
  if how == 'attach' then since = tostring(now - f[8]) end
  if deadline then left = tostring(deadline - now) end
  return {'claimed', tostring(epoch), f[4], how, since, left}
end

if not f[1] then return {'gone'} end
-- A ticket of an earlier attempt, or from before the run changed hands, has nothing left to ask for.
if f[2] ~= ARGV[4] or f[3] ~= ARGV[5] then return {'stale'} end
if TERMINAL[f[1]] then return {'ended'} end
-- The same request again: its reply was lost on the way. It is the same claim.
if f[5] == ARGV[7] and f[1] == 'connecting' then return claimed(f[6], 'start') end
if f[5] == ARGV[7] and f[1] == 'running' then return claimed(f[6], 'attach') end

-- A durable run that goes on at its host, and that no worker holds.
if f[1] == 'running' and f[7] == '' then
  local epoch = redis.call('HINCRBY', key, 'epoch', 1)
  redis.call('HSET', key, 'worker', ARGV[6], 'nonce', ARGV[7], 'claimed', now)
  changed()
  return claimed(epoch, 'attach')
end
-- Someone has it. If that worker is dead, the sweep settles the run; a second delivery never starts it.
if f[1] ~= 'queued' and f[1] ~= 'retry_wait' then return {'held'} end

local to, reason = why_not(ARGV[3], now)
if to then
  settle(ARGV[3], f[1], to, 'not_started', reason, now)
  local answer = {'over'}
  release(answer, now)
  close_if_done(now)
  changed()
  return answer
end

local epoch = redis.call('HINCRBY', key, 'epoch', 1)
redis.call('HSET', key, 'state', 'connecting', 'worker', ARGV[6], 'nonce', ARGV[7], 'connecting', now,
  'claimed', now)
redis.call('HDEL', key, 'retry_at')
move(f[1], 'connecting', 1)
if redis.call('HGET', job, 'state') == 'queued' then
  redis.call('HSET', job, 'state', 'running', 'started', now)
end
changed()
return claimed(epoch, 'start')

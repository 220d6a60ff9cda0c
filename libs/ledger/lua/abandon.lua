-- Settles a run whose worker let its lease run out, or lives and does not know of the run any more (Redis forgot the
-- end of it, say); the epoch fences off the old worker, should it only have slept.
-- Not dispatched: it is queued again, as a new attempt. Dispatched: nobody can know whether the command ran, so it is
-- lost, but for a durable one: that goes on at its host, and another worker attaches to it.
-- KEYS[1] job.  ARGV 3 index, 4 worker, 5 milliseconds after the exec timeout in which a durable run must be taken,
-- 6 the nonce of the claim that the living worker does not know, or ''.
-- Returns {'requeued', 'resumed', 'retrying' or 'lost', tickets...} or {'held'}.
-- A run that takes its workers down with it must not do so for ever.
local MOST_ABANDONED = 3

let_in()
local key = run_key(ARGV[3])
local f = redis.call('HMGET', key, 'state', 'worker', 'host', 'mode', 'started', 'kept_remote', 'nonce')
if (f[1] ~= 'connecting' and f[1] ~= 'running') or f[2] ~= ARGV[4] then return {'held'} end
if f[2] ~= '' and f[7] ~= ARGV[6] and redis.call('EXISTS', base .. ':worker:' .. f[2]) == 1 then return {'held'} end
local now = now_ms()
-- Redis' clock was set back since it started, or nobody can read when: it may take as long as it was given, as of now.
if f[5] and (tonumber(f[5]) or math.huge) > now then
  f[5] = now
  redis.call('HSET', key, 'started', now)
end
local word = 'lost'
if f[1] == 'connecting' then
  redis.call('HINCRBY', key, 'epoch', 1)
  -- Should it have been the probe of its host, another one may be.
  redis.call('HDEL', breaker_of(f[3]), 'probe_until')
  local to, reason = why_not(ARGV[3], now)
  if not to and redis.call('HINCRBY', key, 'abandoned', 1) >= MOST_ABANDONED then
    to, reason = 'unreachable', 'worker_lost'
    redis.call('HSET', key, 'detail', 'each worker that took it died or was out of reach before the command was sent')
  end
  if to then
    settle(ARGV[3], f[1], to, 'not_started', reason, now)
  else
    word = 'requeued'
    leave_host(ARGV[3], now)
    local attempt = redis.call('HINCRBY', key, 'attempt', 1)
    redis.call('HDEL', key, 'resume')
    redis.call('HSET', key, 'state', 'queued', 'remote', f[6] or 'not_started', 'queued', now)
    move('connecting', 'queued', 1)
    ticket(ARGV[3], f[3], attempt, 0)
  end
elseif f[4] == 'durable' and now < f[5] + redis.call('HGET', job, 'exec_timeout_ms') + ARGV[5] then
  -- A run that is waiting for a worker already has its ticket.
  if f[2] == '' then return {'held'} end
  word = 'resumed'
  resume(ARGV[3], now)
else
  redis.call('HINCRBY', key, 'epoch', 1)
  redis.call('HSET', key, 'detail', 'its worker died or was out of reach while the command ran')
  if retry(ARGV[3], f[1], 'lost', 'unknown', 'worker_lost', '', false, now) then
    word = 'retrying'
  else
    settle(ARGV[3], f[1], 'lost', 'unknown', 'worker_lost', now)
  end
end
release(now)
close_if_done(now)
changed()
return reply(word)

-- What jobs share at a host: the places for runs that its machine has, whichever user they log in as, and the circuit
-- breaker of the host itself.

-- The machine of a run that was released, by the name of the host that it is called after: for most the run's own.
local function machine_of(index)
  return redis.call('HGET', machines, index) or redis.call('HGET', run_key(index), 'host') or ''
end

-- The places for runs of this job's kind at the machine of a run: a set of `job ID:index`. Who waits for one is beside it,
-- in the order of coming, as `job ID:index:attempt`.
local function places_of(index)
  return base .. ':host:' .. machine_of(index) .. ':' .. redis.call('HGET', job, 'host_kind')
end

-- How long a place is kept for a run that was called: its ticket may have been lost, and is then issued again.
local CALLED_MS = 30000

-- Gives free places to those who wait first: each gets a ticket, and its place is kept for it.
local function call_waiting(places, now)
  while true do
    local first = redis.call('ZRANGE', places .. ':waiting', 0, 0)[1]
    if not first then return end
    local of_job, index, attempt = string.match(first, '^(.+):(%d+):(%d+)$')
    local key = base .. ':run:' .. of_job .. ':' .. index
    local f = redis.call('HMGET', key, 'state', 'attempt', 'host')
    local limit = tonumber(redis.call('HGET', base .. ':job:' .. of_job, 'host_limit') or 1)
    -- It may have been cancelled meanwhile, or its time was over.
    local is_waiting = (f[1] == 'queued' or f[1] == 'retry_wait') and f[2] == attempt
    if is_waiting and redis.call('SCARD', places) >= limit then return end
    redis.call('ZREM', places .. ':waiting', first)
    if is_waiting then
      redis.call('SADD', places, of_job .. ':' .. index)
      redis.call('HSET', key, 'called', now)
      rouse(of_job, index)
      ticket_of(of_job, index, f[3], attempt, redis.call('HINCRBY', key, 'resume', 1))
    end
  end
end

-- A place is left whenever a run stops being held. Should one be kept by mistake, no host may wait for ever.
local function clear_places(places, now)
  for _, other in ipairs(redis.call('SMEMBERS', places)) do
    local f = redis.call('HMGET', base .. ':run:' .. other, 'state', 'called')
    local is_called = (f[1] == 'queued' or f[1] == 'retry_wait') and f[2] and tonumber(f[2]) + CALLED_MS > now
    if f[1] ~= 'connecting' and f[1] ~= 'running' and not is_called then redis.call('SREM', places, other) end
  end
end

-- Takes a place for a run, or lets it wait for one. Answers whether it has one.
local function enter_host(index, attempt, now)
  local places, me = places_of(index), job_id .. ':' .. index
  local limit = tonumber(redis.call('HGET', job, 'host_limit'))
  if redis.call('SCARD', places) >= limit then clear_places(places, now) end
  -- Nobody overtakes those who came before.
  if redis.call('EXISTS', places .. ':waiting') == 1 then call_waiting(places, now) end
  if redis.call('SISMEMBER', places, me) == 0 then
    if redis.call('SCARD', places) >= limit or redis.call('EXISTS', places .. ':waiting') == 1 then
      redis.call('ZADD', places .. ':waiting', 'NX', now, me .. ':' .. attempt)
      return false
    end
    redis.call('SADD', places, me)
  end
  return true
end

-- Gives the place of a run free, or its place in the row.
local function leave_host(index, now)
  local places, me = places_of(index), job_id .. ':' .. index
  local waiting = me .. ':' .. (redis.call('HGET', run_key(index), 'attempt') or '')
  if redis.call('SREM', places, me) + redis.call('ZREM', places .. ':waiting', waiting) == 0 then return end
  redis.call('HDEL', run_key(index), 'called')
  call_waiting(places, now)
end

-- The circuit breaker of a host: how often in a row connecting (`connect`) or logging in (`auth`) failed, until when it
-- is open, and until when one run may probe it. What a command does there never counts.
local BREAKER = {
  conn_refused = 'connect', conn_timeout = 'connect', kex_failed = 'connect', auth_failed = 'auth',
}
-- Failures of a host that has let us in.
local AFTER_LOGIN = {sudo_password_required = true, sudo_denied = true, channel_refused = true}
local MOST = {connect = 5, auth = 2}
local OPEN_MS = {connect = 300000, auth = 900000}
-- Longer than any dial may take; a probe that nobody brought to an end holds the others off no longer.
local PROBE_MS = 660000
-- Failures that lie so far back say nothing any more.
local FORGET_MS = 86400000

local function breaker_of(host) return base .. ':breaker:' .. host end

-- Whether a time that was set at most so far ahead is to come. One that is further ahead is from before Redis' clock was
-- set back, and says nothing.
local function is_ahead(at, now, most_ms)
  return at and tonumber(at) > now and tonumber(at) <= now + most_ms
end

-- The kind of the breaker that holds this job off a host now.
local function shut_by(host, now)
  local f = redis.call('HMGET', breaker_of(host), 'until', 'probe_until', 'kind')
  local force = redis.call('HGET', job, 'force')
  if not f[1] or force == 'all' or force == f[3] then return nil end
  if is_ahead(f[1], now, OPEN_MS[f[3]]) or is_ahead(f[2], now, PROBE_MS) then return f[3] end
end

-- Whether a run must not try this host now. The first one that may try again is the probe. `tried`: a digest of what it
-- would try, such as its credentials, or '-' where nobody says; with what has not failed yet it may try at once.
local function is_barred(host, now, tried)
  local breaker = breaker_of(host)
  if shut_by(host, now) then
    return tried == '-' or redis.call('HEXISTS', breaker, 'tried:' .. tried) == 1
  end
  local f = redis.call('HMGET', breaker, 'until', 'probe_until', 'kind')
  if not f[1] then return false end
  local force = redis.call('HGET', job, 'force')
  if force and (force == 'all' or force == f[3]) then return false end
  redis.call('HSET', breaker, 'probe_until', now + PROBE_MS)
  redis.call('ZADD', base .. ':breakers', now + PROBE_MS, f[3] .. ':' .. host)
  return false
end

-- The host was reached and let us in: whatever failed before does not count any more.
local function close_breaker(host)
  if redis.call('DEL', breaker_of(host)) == 1 then
    redis.call('ZREM', base .. ':breakers', 'connect:' .. host, 'auth:' .. host)
  end
end

-- Takes note of how trying to reach a host ended. `is_hosts_fault`: it was asked itself, and did not let us in. `tried`: a
-- digest of what that was tried with. Answers whether its breaker is open now.
local function note_failure(host, reason, is_hosts_fault, tried, now)
  local breaker, kind = breaker_of(host), BREAKER[reason]
  if AFTER_LOGIN[reason] then
    close_breaker(host)
    return false
  end
  if not kind or not is_hosts_fault then
    -- A probe that found nothing out: the next one may be made at once.
    if redis.call('HDEL', breaker, 'probe_until') == 1 then
      redis.call('ZREM', base .. ':breakers', 'connect:' .. host, 'auth:' .. host)
    end
    return false
  end
  -- Who is refused at the log-in has reached the host.
  if kind == 'auth' then redis.call('HDEL', breaker, 'connect') end
  local count = redis.call('HINCRBY', breaker, kind, 1)
  if tried then redis.call('HSET', breaker, 'tried:' .. tried, 1) end
  redis.call('HDEL', breaker, 'probe_until')
  redis.call('PEXPIRE', breaker, FORGET_MS)
  if count < MOST[kind] then return false end
  -- One that is open for longer stays so.
  local present, due = redis.call('HGET', breaker, 'until'), now + OPEN_MS[kind]
  if present and tonumber(present) >= due and tonumber(present) <= now + OPEN_MS.auth then return true end
  redis.call('HSET', breaker, 'until', due, 'kind', kind)
  redis.call('ZREM', base .. ':breakers', 'connect:' .. host, 'auth:' .. host)
  redis.call('ZADD', base .. ':breakers', due, kind .. ':' .. host)
  return true
end

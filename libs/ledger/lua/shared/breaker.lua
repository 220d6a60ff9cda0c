-- The circuit breaker of a host: how often in a row connecting (`connect`) or logging in (`auth`) failed, until when it
-- is open, and until when one run may probe the host. What a command does there never counts.

local KIND_OF = {
  conn_refused = 'connect', conn_timeout = 'connect', kex_failed = 'connect', auth_failed = 'auth',
}
-- Failures on a host that has let us in.
local AFTER_LOGIN = {sudo_password_required = true, sudo_denied = true, channel_refused = true}
-- How many failures in a row open it, and for how long.
local MOST = {connect = 5, auth = 2}
local OPEN_MS = {connect = 300000, auth = 900000}
-- Longer than any dial may take. A probe that nobody brings to an end holds the others off no longer than this.
local PROBE_MS = 660000
-- Failures that are older than this say nothing any more.
local FORGET_MS = 86400000

local function breaker_of(host) return base .. ':breaker:' .. host end

local function unlist_breaker(host) redis.call('ZREM', base .. ':breakers', 'connect:' .. host, 'auth:' .. host) end

local function list_breaker(host, kind, due) redis.call('ZADD', base .. ':breakers', due, kind .. ':' .. host) end

-- Whether a time that was set at most `most_ms` ahead is still to come. One that is further ahead was set before Redis'
-- clock was set back, and says nothing.
local function is_ahead(at, now, most_ms)
  return at and tonumber(at) > now and tonumber(at) <= now + most_ms
end

-- Whether this job goes past breakers of a kind.
local function is_forced(kind)
  local force = redis.call('HGET', job, 'force')
  return force and (force == 'all' or force == kind)
end

-- The breaker of a host, if it has been open and this job does not go past it. `is_shut` tells whether it holds the job
-- off now.
local function breaker_before(host, now)
  local breaker = read(breaker_of(host), 'until', 'probe_until', 'kind')
  if not breaker['until'] or is_forced(breaker.kind) then return nil end
  breaker.is_shut = is_ahead(breaker['until'], now, OPEN_MS[breaker.kind])
    or is_ahead(breaker.probe_until, now, PROBE_MS)
  return breaker
end

-- Whether a run must not try a host with this breaker now. `tried` is a digest of what the run would try, such as its
-- credentials, or '-' when nobody knows; what has not failed yet may be tried at once. The first run that may try again
-- is the probe.
local function is_barred(host, breaker, now, tried)
  local key = breaker_of(host)
  if breaker.is_shut then return tried == '-' or redis.call('HEXISTS', key, 'tried:' .. tried) == 1 end
  redis.call('HSET', key, 'probe_until', now + PROBE_MS)
  list_breaker(host, breaker.kind, now + PROBE_MS)
  return false
end

-- The host was reached and let us in: earlier failures count no longer.
local function close_breaker(host)
  if redis.call('DEL', breaker_of(host)) == 1 then unlist_breaker(host) end
end

-- Lets another run probe the host. Returns whether one was probing it.
local function end_probe(host) return redis.call('HDEL', breaker_of(host), 'probe_until') == 1 end

-- Opens the breaker, unless it is open for longer already.
local function open_breaker(host, kind, now)
  local key, due = breaker_of(host), now + OPEN_MS[kind]
  local present = tonumber(redis.call('HGET', key, 'until'))
  if present and present >= due and present <= now + OPEN_MS.auth then return end
  redis.call('HSET', key, 'until', due, 'kind', kind)
  unlist_breaker(host)
  list_breaker(host, kind, due)
end

-- Counts a failure to reach a host. `is_hosts_fault`: the host itself was asked, and did not let us in. `tried` is a
-- digest of what it was tried with, or ''. Returns whether its breaker is open now.
local function note_failure(host, reason, is_hosts_fault, tried, now)
  local key, kind = breaker_of(host), KIND_OF[reason]
  if AFTER_LOGIN[reason] then
    close_breaker(host)
    return false
  end
  if not kind or not is_hosts_fault then
    -- A probe that found nothing out: the next one may be made at once.
    if end_probe(host) then unlist_breaker(host) end
    return false
  end
  -- A log-in that is refused has reached the host.
  if kind == 'auth' then redis.call('HDEL', key, 'connect') end
  local count = redis.call('HINCRBY', key, kind, 1)
  if tried ~= '' then redis.call('HSET', key, 'tried:' .. tried, 1) end
  end_probe(host)
  redis.call('PEXPIRE', key, FORGET_MS)
  if count < MOST[kind] then return false end
  open_breaker(host, kind, now)
  return true
end

-- The places for runs that a machine has, over all jobs, and whichever user they log in as.

-- The machine of a run on this host, by the name of one of its hosts: for most runs their own host.
local function machine_of(index, host) return redis.call('HGET', machines, index) or host or '' end

-- The places for runs of this job's kind at the machine of a run: a set of `job ID:index`. Beside it the runs that wait
-- for a place, in the order in which they came, as `job ID:index:attempt`.
local function places_of(index, host)
  return base .. ':host:' .. machine_of(index, host) .. ':' .. redis.call('HGET', job, 'host_kind')
end

-- How long a place is kept for a run that was called. Its ticket may have been lost, and is then issued again.
local CALLED_MS = 30000

-- Gives free places to the runs that have waited longest. Each gets a ticket, and its place is kept for it.
local function call_waiting(places, now)
  while true do
    local first = redis.call('ZRANGE', places .. ':waiting', 0, 0)[1]
    if not first then return end
    local of_job, index, attempt = string.match(first, '^(.+):(%d+):(%d+)$')
    local key = base .. ':run:' .. of_job .. ':' .. index
    local run = read(key, 'state', 'attempt', 'host')
    local limit = tonumber(redis.call('HGET', job_key(of_job), 'host_limit') or 1)
    -- It may have been cancelled meanwhile, or its time may be over.
    local is_waiting = WAITING[run.state] and run.attempt == attempt
    if is_waiting and redis.call('SCARD', places) >= limit then return end
    redis.call('ZREM', places .. ':waiting', first)
    if is_waiting then
      redis.call('SADD', places, of_job .. ':' .. index)
      redis.call('HSET', key, 'called', now)
      rouse(of_job, index)
      local reissue = redis.call('HINCRBY', key, 'reissue', 1)
      issue({job_id = of_job, index = index, host = run.host, attempt = attempt, reissue = reissue})
    end
  end
end

-- Frees the places of runs that are not held. Every run leaves its place; if one did not, its host must not stay
-- closed.
local function clear_places(places, now)
  for _, holder in ipairs(redis.call('SMEMBERS', places)) do
    local run = read(base .. ':run:' .. holder, 'state', 'called')
    local is_called = WAITING[run.state] and run.called and tonumber(run.called) + CALLED_MS > now
    if not HELD[run.state] and not is_called then redis.call('SREM', places, holder) end
  end
end

-- Takes a place for a run, or lets it wait for one. Returns whether it has one.
local function enter_host(index, host, attempt, now)
  local places, me = places_of(index, host), job_id .. ':' .. index
  local limit = tonumber(redis.call('HGET', job, 'host_limit'))
  local function is_closed() return redis.call('SCARD', places) >= limit end
  -- Nobody overtakes those who came before.
  local function has_queue() return redis.call('EXISTS', places .. ':waiting') == 1 end
  if is_closed() or has_queue() then
    if is_closed() then clear_places(places, now) end
    call_waiting(places, now)
    if redis.call('SISMEMBER', places, me) == 1 then return true end
    if is_closed() or has_queue() then
      redis.call('ZADD', places .. ':waiting', 'NX', now, me .. ':' .. attempt)
      return false
    end
  end
  redis.call('SADD', places, me)
  return true
end

-- Frees the place of a run, or takes the run out of the queue for one. `run` has its fields `host` and `attempt`. The
-- caller deletes its field `called`.
local function leave_host(index, run, now)
  local places, me = places_of(index, run.host), job_id .. ':' .. index
  local function left_queue() return redis.call('ZREM', places .. ':waiting', me .. ':' .. (run.attempt or '')) == 1 end
  if redis.call('SREM', places, me) == 1 or left_queue() then call_waiting(places, now) end
end

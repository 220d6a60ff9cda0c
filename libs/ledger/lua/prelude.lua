-- Shared by every script; put in front of each. ARGV[1] is the base of all key names, ARGV[2] the job ID.
-- A run is never-ending work until `settle` moves it, once, into a terminal state: counts, the set of open runs,
-- the list of runs that went wrong and the end of the job move in that same step.

local base, job_id = ARGV[1], ARGV[2]
local job = base .. ':job:' .. job_id
local hosts, open, wrong = job .. ':hosts', job .. ':open', job .. ':wrong'

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

-- Ends the job when all its runs have ended.
local function close_if_done(now)
  local f = redis.call('HMGET', job, 'total', 'done', 'n:succeeded', 'n:cancelled', 'state')
  local total, succeeded = tonumber(f[1]), tonumber(f[3] or 0)
  if tonumber(f[2] or 0) < total then return end
  local state = 'partial'
  if succeeded == total then state = 'succeeded'
  elseif f[5] == 'cancelling' and tonumber(f[4] or 0) > 0 then state = 'cancelled'
  elseif succeeded == 0 then state = 'failed' end
  redis.call('HSET', job, 'state', state, 'ended', now)
  redis.call('SREM', base .. ':active', job_id)
end

-- Puts a run that has not ended into a terminal state. The caller has compared state and epoch.
local function settle(index, from, to, remote, reason, now)
  local key = run_key(index)
  redis.call('HSET', key, 'state', to, 'remote', remote, 'ended', now)
  if reason ~= '' then redis.call('HSET', key, 'reason', reason) end
  move(from, to, 1)
  redis.call('HINCRBY', job, 'done', 1)
  redis.call('SREM', open, index)
  if to ~= 'succeeded' then redis.call('RPUSH', wrong, index) end
end

-- Lets the next pending runs go, up to the fan-out. Returns index, host, attempt, index, host, attempt, ...
local function release(now)
  local f = redis.call('HMGET', job, 'state', 'next', 'total', 'concurrency')
  local released = {}
  if f[1] ~= 'queued' and f[1] ~= 'running' then return released end
  local next_index, total = tonumber(f[2]), tonumber(f[3])
  local free = tonumber(f[4]) - redis.call('SCARD', open)
  local count = math.min(free, total - next_index)
  if count <= 0 then return released end
  local names = redis.call('LRANGE', hosts, next_index, next_index + count - 1)
  for i, host in ipairs(names) do
    local index = next_index + i - 1
    redis.call('HSET', run_key(index), 'state', 'queued', 'remote', 'not_started', 'host', host,
      'epoch', 0, 'attempt', 1, 'queued', now)
    redis.call('SADD', open, index)
    released[#released + 1] = tostring(index)
    released[#released + 1] = host
    released[#released + 1] = '1'
  end
  redis.call('HSET', job, 'next', next_index + count)
  move('pending', 'queued', count)
  return released
end

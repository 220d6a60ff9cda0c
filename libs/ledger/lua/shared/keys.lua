-- The API key of a job: whether it may still start anything, and how much of what it may have in flight is left.

-- Milliseconds since 1970 of a time in ISO 8601 and UTC. 0 for any other text, so that what cannot be read is over.
local function ms_of(text)
  local year, month, day, hour, minute, second, fraction =
    string.match(text, '^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)%.?(%d*)Z$')
  if not year then return 0 end
  -- The day of the Julian calendar's count, less that of 1970-01-01.
  local before_march = math.floor((14 - month) / 12)
  local y, m = year + 4800 - before_march, month + 12 * before_march - 3
  local leaps = math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400)
  local days = day + math.floor((153 * m + 2) / 5) + 365 * y + leaps - 32045 - 2440588
  return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + tonumber(string.sub(fraction .. '000', 1, 3))
end

-- Whether the key that submitted the job was revoked, has expired, is gone, or cannot be read. A job that names no key
-- is of a version before there were any.
local function is_key_void(key_id, now)
  if not key_id then return false end
  local text = redis.call('HGET', base .. ':api-keys', key_id)
  local is_read, record = pcall(cjson.decode, text or '')
  if not is_read or type(record) ~= 'table' then return true end
  local revoked, expires = record.revoked_at, record.expires_at
  local is_revoked = revoked ~= nil and revoked ~= cjson.null
  local has_end = expires ~= nil and expires ~= cjson.null
  return is_revoked or (has_end and ms_of(tostring(expires)) <= now)
end

-- `key_runs` of the job, once it was asked for.
local key_runs_text

-- The keys that limit how many runs of this job and of others are in flight, and how many each allows.
local function key_limits()
  key_runs_text = key_runs_text or redis.call('HGET', job, 'key_runs') or ''
  return string.gmatch(key_runs_text, '(%w+):(%d+)')
end

local function key_runs(key_id) return base .. ':key-runs:' .. key_id end
-- The jobs that would let more runs go if the key allowed it.
local function key_waiting(key_id) return base .. ':key-waiting:' .. key_id end

-- How many more runs of the job, which has `mine` in flight, its keys allow, of `wanted`. While other jobs wait for a
-- key, none has more than its part of what the key allows. A job that wants more is looked at when a run ends.
local function key_left(wanted, mine)
  local left = wanted
  for key_id, most in key_limits() do
    local waiting = key_waiting(key_id)
    local others = redis.call('SCARD', waiting) - redis.call('SISMEMBER', waiting, job_id)
    local free = most - redis.call('SCARD', key_runs(key_id))
    if others > 0 then free = math.min(free, math.ceil(most / (others + 1)) - mine) end
    redis.call(free < wanted and 'SADD' or 'SREM', waiting, job_id)
    left = math.max(0, math.min(left, free))
  end
  return left
end

local function enter_key(index)
  for key_id in key_limits() do redis.call('SADD', key_runs(key_id), job_id .. ':' .. index) end
end

-- Frees the places of a run, for which another job may have waited.
local function leave_key(index)
  for key_id in key_limits() do
    redis.call('SREM', key_runs(key_id), job_id .. ':' .. index)
    for _, waiting in ipairs(redis.call('SRANDMEMBER', key_waiting(key_id), 2)) do
      if waiting ~= job_id then redis.call('SADD', base .. ':to-tend', waiting) end
    end
  end
end

-- A job that has ended waits for nothing any more.
local function forget_waiting()
  for key_id in key_limits() do redis.call('SREM', key_waiting(key_id), job_id) end
end

-- Accepts a job: stores it with its frozen hosts and releases the first window of runs. A request that came before
-- under the same idempotency key is found again.
-- `idempotency_key` is a key of Redis or ''; `within_ms` the time limit of the job or ''; `script_bytes`, `stdin_bytes`
-- and `secrets_bytes` the lengths of the texts beside it or ''; `shared_machines` the machines of hosts that are not
-- one by themselves, as 'index:machine,index:machine'; `hourly` how many jobs within an hour the key and those above it
-- may submit, as 'key:jobs,key:jobs'; `signed` is what the server has signed of the job, or ''. After the fields and
-- their values come the hosts.
-- Returns {'accepted', tickets...}, {'seen', job ID}, {'conflict', job ID}, {'full'}, {'incomplete', which text} or
-- {'spent', key, its jobs within an hour, milliseconds until the next}.
local idempotency_key, digest, idempotency_s = ARGV[3], ARGV[4], ARGV[5]
local start_within_ms, within_ms = ARGV[6], ARGV[7]
local script_bytes, stdin_bytes, secrets_bytes = ARGV[8], ARGV[9], ARGV[10]
local shared_machines, hourly, signed = ARGV[11], ARGV[12], ARGV[13]
local field_count = ARGV[14]
local fields_from = 15
local hosts_from = fields_from + 2 * field_count

local texts = {script = script_bytes, stdin = stdin_bytes, secrets = secrets_bytes}

-- Finds an earlier request under the same idempotency key.
local function find_earlier()
  if idempotency_key == '' then return nil end
  local earlier = read(idempotency_key, 'job_id', 'digest')
  if not earlier.job_id or earlier.job_id == job_id then return nil end
  return {earlier.digest == digest and 'seen' or 'conflict', earlier.job_id}
end

-- Issues the tickets of waiting runs once more; issuing a ticket twice makes one ticket.
local function issue_again()
  for _, index in ipairs(redis.call('SMEMBERS', open)) do
    local run = read(run_key(index), 'host', 'attempt', 'state')
    if run.state == 'queued' then issue_own(index, run.host, run.attempt, 0) end
  end
end

-- Which text is not as long as it should be.
local function find_incomplete()
  for name, bytes in pairs(texts) do
    if bytes ~= '' and redis.call('STRLEN', job .. ':' .. name) ~= tonumber(bytes) then return name end
  end
end

local HOUR_MS = 3600000

-- The jobs that a key and those below it have submitted within the last hour, by when.
local function key_hour(key_id) return base .. ':key-hour:' .. key_id end

-- Which key has submitted all the jobs of this hour, and how long until it may submit another.
local function find_spent(now)
  for key_id, most in string.gmatch(hourly, '(%w+):(%d+)') do
    local jobs = key_hour(key_id)
    redis.call('ZREMRANGEBYSCORE', jobs, '-inf', now - HOUR_MS)
    -- Redis' clock was set back since.
    redis.call('ZREMRANGEBYSCORE', jobs, '(' .. now, '+inf')
    local count = redis.call('ZCARD', jobs)
    if count >= tonumber(most) then
      local first = redis.call('ZRANGE', jobs, count - most, count - most, 'WITHSCORES')
      return {'spent', key_id, most, tostring(first[2] + HOUR_MS - now)}
    end
  end
end

local function count_job(now)
  for key_id in string.gmatch(hourly, '(%w+):%d+') do
    redis.call('ZADD', key_hour(key_id), now, job_id)
    redis.call('PEXPIRE', key_hour(key_id), HOUR_MS)
  end
end

local function fields_size()
  local size = #signed
  for i = fields_from, hosts_from - 1 do size = size + #ARGV[i] end
  return size
end

local function store_job(now)
  local total = #ARGV - hosts_from + 1
  redis.call('HSET', job, 'state', 'queued', 'total', total, 'next', 0, 'created', now, 'n:pending', total, 'done', 0,
    'start_deadline', now + start_within_ms, unpack(ARGV, fields_from, hosts_from - 1))
  keep_signed('job', signed)
  if within_ms ~= '' then redis.call('HSET', job, 'job_deadline', now + within_ms, 'job_within_ms', within_ms) end
  for name, bytes in pairs(texts) do
    if bytes ~= '' then
      redis.call('HSET', job, name .. '_bytes', bytes)
      redis.call('PERSIST', job .. ':' .. name)
    end
  end
end

local function store_hosts()
  -- Lua's stack bounds how many values one call may take.
  for from = hosts_from, #ARGV, 1000 do
    redis.call('RPUSH', hosts, unpack(ARGV, from, math.min(from + 999, #ARGV)))
  end
  for index, machine in string.gmatch(shared_machines, '(%d+):([^,]+)') do
    redis.call('HSET', machines, index, machine)
  end
end

local function list_job(now)
  local facts = read(job, 'owner', 'rerun_of')
  redis.call('ZADD', base .. ':jobs', now, job_id)
  redis.call('ZADD', base .. ':jobs:' .. facts.owner, now, job_id)
  redis.call('SADD', base .. ':active', job_id)
  -- Whoever may read the first job may read all jobs of its owner, and no others.
  if facts.rerun_of and redis.call('HGET', job_key(facts.rerun_of), 'owner') == facts.owner then
    redis.call('RPUSH', job_key(facts.rerun_of) .. ':reruns', job_id)
  end
end

local earlier = find_earlier()
if earlier then return earlier end
-- The same request again, because its reply was lost: the job is there, but its tickets may not have been issued.
if redis.call('EXISTS', job) == 1 then
  issue_again()
  return reply('accepted')
end
if is_full(fields_size()) then return {'full'} end
local incomplete = find_incomplete()
if incomplete then return {'incomplete', incomplete} end

local now = now_ms()
local spent = find_spent(now)
if spent then return spent end
count_job(now)
if idempotency_key ~= '' then
  redis.call('HSET', idempotency_key, 'job_id', job_id, 'digest', digest)
  redis.call('EXPIRE', idempotency_key, idempotency_s)
end
store_job(now)
store_hosts()
list_job(now)
release(now)
return reply('accepted')

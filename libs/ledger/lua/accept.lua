-- Accepts a job: stores it with its frozen hosts and releases the first window of runs, or finds that it was
-- accepted before under the same idempotency key.
-- KEYS[1] job.  ARGV 3 idempotency key or '', 4 digest of the request, 5 seconds the key is kept,
-- 6 milliseconds to the start deadline, 7 to the end of the job or '', 8 bytes of its large script or '', 9 of its large
-- stdin, 10 the machines of hosts that are not one by themselves, as 'index:machine,index:machine', 11 how many fields,
-- 12... field, value, ..., then the hosts.
-- Returns {'accepted', tickets...}, {'seen', job ID}, {'conflict', job ID}, {'full'}, or {'incomplete', which text}.
if ARGV[3] ~= '' then
  local seen = redis.call('HMGET', ARGV[3], 'job_id', 'digest')
  if seen[1] and seen[1] ~= job_id then
    if seen[2] == ARGV[4] then return {'seen', seen[1]} end
    return {'conflict', seen[1]}
  end
end

-- The same request again, its reply was lost: the job is there. Its runs that wait are told of once more, because
-- their tickets may not have been issued; issuing one twice makes one.
if redis.call('EXISTS', job) == 1 then
  for _, index in ipairs(redis.call('SMEMBERS', open)) do
    local f = redis.call('HMGET', run_key(index), 'host', 'attempt', 'state')
    if f[3] == 'queued' then ticket(index, f[1], f[2], 0) end
  end
  return reply('accepted')
end

local first = 12 + 2 * ARGV[11]
local size = 0
for i = 12, first - 1 do size = size + #ARGV[i] end
if is_full(size) then return {'full'} end
local texts = {script = ARGV[8], stdin = ARGV[9]}
for name, bytes in pairs(texts) do
  if bytes ~= '' and redis.call('STRLEN', job .. ':' .. name) ~= tonumber(bytes) then return {'incomplete', name} end
end

local now = now_ms()
if ARGV[3] ~= '' then
  redis.call('HSET', ARGV[3], 'job_id', job_id, 'digest', ARGV[4])
  redis.call('EXPIRE', ARGV[3], ARGV[5])
end
local total = #ARGV - first + 1
redis.call('HSET', job, 'state', 'queued', 'total', total, 'next', 0, 'created', now, 'n:pending', total, 'done', 0,
  'start_deadline', now + ARGV[6], unpack(ARGV, 12, first - 1))
for name, bytes in pairs(texts) do
  if bytes ~= '' then
    redis.call('HSET', job, name .. '_bytes', bytes)
    redis.call('PERSIST', job .. ':' .. name)
  end
end
if ARGV[7] ~= '' then redis.call('HSET', job, 'job_deadline', now + ARGV[7], 'job_within_ms', ARGV[7]) end
-- Lua's stack bounds how many values one call may take.
for from = first, #ARGV, 1000 do
  redis.call('RPUSH', hosts, unpack(ARGV, from, math.min(from + 999, #ARGV)))
end
for index, machine in string.gmatch(ARGV[10], '(%d+):([^,]+)') do redis.call('HSET', machines, index, machine) end
local owner, rerun_of = unpack(redis.call('HMGET', job, 'owner', 'rerun_of'))
redis.call('ZADD', base .. ':jobs', now, job_id)
redis.call('ZADD', base .. ':jobs:' .. owner, now, job_id)
-- Who reads the first job may see all jobs of its owner, and no others.
if rerun_of and redis.call('HGET', base .. ':job:' .. rerun_of, 'owner') == owner then
  redis.call('RPUSH', base .. ':job:' .. rerun_of .. ':reruns', job_id)
end
redis.call('SADD', base .. ':active', job_id)

release(now)
return reply('accepted')

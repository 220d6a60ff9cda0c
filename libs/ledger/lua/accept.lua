-- Accepts a job: stores it with its frozen hosts and releases the first window of runs, or finds that it was
-- accepted before under the same idempotency key.
-- KEYS[1] job.  ARGV 3 idempotency key or '', 4 digest of the request, 5 seconds the key is kept,
-- 6 concurrency, 7 spec, 8 targets as given, 9 title, 10 owner, 11... hosts.
-- Returns {'accepted', index, host, attempt, ...}, {'seen', job ID} or {'conflict', job ID}.
if ARGV[3] ~= '' then
  local seen = redis.call('HMGET', ARGV[3], 'job_id', 'digest')
  if seen[1] then
    if seen[2] == ARGV[4] then return {'seen', seen[1]} end
    return {'conflict', seen[1]}
  end
  redis.call('HSET', ARGV[3], 'job_id', job_id, 'digest', ARGV[4])
  redis.call('EXPIRE', ARGV[3], ARGV[5])
end

local now = now_ms()
local total = #ARGV - 10
redis.call('HSET', job, 'state', 'queued', 'total', total, 'next', 0, 'concurrency', ARGV[6], 'spec', ARGV[7],
  'targets', ARGV[8], 'title', ARGV[9], 'owner', ARGV[10], 'created', now, 'n:pending', total, 'done', 0)
-- Lua's stack bounds how many values one call may take.
for first = 11, #ARGV, 1000 do
  redis.call('RPUSH', hosts, unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
redis.call('ZADD', base .. ':jobs', now, job_id)
redis.call('SADD', base .. ':active', job_id)

local answer = release(now)
table.insert(answer, 1, 'accepted')
return answer

-- Accepts a job: stores it with its frozen hosts and releases the first window of runs, or finds that it was
-- accepted before under the same idempotency key.
-- KEYS[1] job.  ARGV 3 idempotency key or '', 4 digest of the request, 5 seconds the key is kept,
-- 6 concurrency, 7 spec, 8 targets as given, 9 title, 10 owner, 11... hosts.
-- Returns {'accepted', index, host, attempt, ...}, {'seen', job ID} or {'conflict', job ID}.
if ARGV[3] ~= '' then
  local seen = redis.call('HMGET', ARGV[3], 'job_id', 'digest')
  if seen[1] and seen[1] ~= job_id then
    if seen[2] == ARGV[4] then return {'seen', seen[1]} end
    return {'conflict', seen[1]}
  end
  redis.call('HSET', ARGV[3], 'job_id', job_id, 'digest', ARGV[4])
  redis.call('EXPIRE', ARGV[3], ARGV[5])
end

-- The same request again, its reply was lost: the job is there. Its runs that wait are told of once more, because
-- their tickets may not have been issued; issuing one twice makes one.
if redis.call('EXISTS', job) == 1 then
  local answer = {'accepted'}
  for _, index in ipairs(redis.call('SMEMBERS', open)) do
    local f = redis.call('HMGET', run_key(index), 'host', 'attempt')
    for _, word in ipairs({index, f[1], f[2]}) do answer[#answer + 1] = word end
  end
  return answer
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

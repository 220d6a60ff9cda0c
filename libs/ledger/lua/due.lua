-- Hands out the tickets that are due by now. Who asks may die before it issues them: their runs say that they wait from now
-- on, and the sweep issues what is missing.
-- KEYS[1] sorted set of `job ID:index:attempt:delay` by when each is due.  ARGV 3 most tickets of one answer, 4 Redis' time
-- as the caller saw it last, or ''.  Returns {now, milliseconds until the next one is due or '', tickets...}.
let_in()
local now = now_ms()

-- The run that a member stands for. Without a host it does not wait for this ticket any more.
local function run_of(member)
  local of_job, index, attempt, delay = string.match(member, '^(.+):(%d+):(%d+):(%d+)$')
  local run = {of_job = of_job, index = index, attempt = attempt, delay = tonumber(delay)}
  run.key = base .. ':run:' .. of_job .. ':' .. index
  local f = redis.call('HMGET', run.key, 'state', 'attempt', 'host')
  if (f[1] == 'queued' or f[1] == 'retry_wait') and f[2] == attempt then run.state, run.host = f[1], f[3] end
  return run
end

-- Set back: nothing may wait for longer than its delay, as of now. After its start a caller cannot know.
if ARGV[4] == '' or now < tonumber(ARGV[4]) then
  local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
  for i = 1, #all, 2 do
    local run = run_of(all[i])
    local latest = now + run.delay
    if tonumber(all[i + 1]) > latest then
      redis.call('ZADD', KEYS[1], latest, all[i])
      if run.host then redis.call('HSET', run.key, run.state == 'queued' and 'due' or 'retry_at', latest) end
    end
  end
end

for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[3])) do
  redis.call('ZREM', KEYS[1], member)
  local run = run_of(member)
  if run.host then
    if run.state == 'queued' then redis.call('HDEL', run.key, 'due') end
    redis.call('HSET', run.key, run.state == 'queued' and 'queued' or 'waits', now)
    ticket_of(run.of_job, run.index, run.host, run.attempt, 0)
  end
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return reply(tostring(now), first[2] and tostring(math.max(0, first[2] - now)) or '')

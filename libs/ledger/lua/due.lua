-- Hands out the tickets that are due by now. A run that is told of may lose its ticket on the way: it then says that it
-- waits since now, and the sweep issues what is missing.
-- KEYS[1] sorted set of `job ID:index:attempt:delay` by when each is due.  ARGV 3 most tickets of one answer, 4 Redis' time
-- as the caller saw it last, or ''.  Returns {now, milliseconds until the next one is due or '', tickets...}.
let_in()
local now = now_ms()

-- Says of the run when it is due. Answers its host; nothing when it does not wait for this ticket any more.
local function put_due(of_job, index, attempt, due)
  local key = base .. ':run:' .. of_job .. ':' .. index
  local f = redis.call('HMGET', key, 'state', 'attempt', 'host')
  if (f[1] ~= 'queued' and f[1] ~= 'retry_wait') or f[2] ~= attempt then return end
  redis.call('HSET', key, f[1] == 'queued' and 'due' or 'retry_at', due)
  return f[3]
end

local PARTS = '^(.+):(%d+):(%d+):(%d+)$'

-- Set back: nothing may wait for longer than its delay, as of now. After its start a caller cannot know.
if ARGV[4] == '' or now < tonumber(ARGV[4]) then
  local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
  for i = 1, #all, 2 do
    local of_job, index, attempt, delay = string.match(all[i], PARTS)
    if tonumber(all[i + 1]) > now + delay then
      redis.call('ZADD', KEYS[1], now + delay, all[i])
      put_due(of_job, index, attempt, now + delay)
    end
  end
end

local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[3])
for _, member in ipairs(due) do
  redis.call('ZREM', KEYS[1], member)
  local of_job, index, attempt = string.match(member, PARTS)
  local host = put_due(of_job, index, attempt, now)
  if host then ticket_of(of_job, index, host, attempt, 0) end
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return reply(tostring(now), first[2] and tostring(math.max(0, first[2] - now)) or '')

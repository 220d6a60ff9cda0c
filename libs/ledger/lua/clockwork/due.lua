-- Hands out the tickets that are due. Its caller may die before it issues them; so the records say from when on their
-- runs wait, and the sweep issues what is missing.
-- `schedule` is a sorted set of `job ID:index:attempt:delay`, by when each is due; `seen_ms` is Redis' time as the
-- caller saw it last, or ''.
-- Returns {now, milliseconds until the next ticket is due or '', jobs to tend, tickets...}: the jobs for which a place
-- of their key has become free, with spaces between.
local schedule = KEYS[1]
local limit, seen_ms = ARGV[3], ARGV[4]

let_in()
local now = now_ms()

-- The run that a member of the schedule stands for. Nil when it does not wait for this ticket any more.
local function waiting_run(member)
  local of_job, index, attempt, delay = string.match(member, '^(.+):(%d+):(%d+):(%d+)$')
  local key = base .. ':run:' .. of_job .. ':' .. index
  local run = read(key, 'state', 'attempt', 'host')
  if not WAITING[run.state] or run.attempt ~= attempt then return nil, delay end
  local ticket = {job_id = of_job, index = index, host = run.host, attempt = attempt, reissue = 0}
  return {key = key, state = run.state, ticket = ticket}, delay
end

-- After Redis' clock was set back nothing may wait for longer than its delay, from now on.
local function shorten()
  local all = redis.call('ZRANGE', schedule, 0, -1, 'WITHSCORES')
  for i = 1, #all, 2 do
    local member, due = all[i], tonumber(all[i + 1])
    local run, delay = waiting_run(member)
    local latest = now + delay
    if due > latest then
      redis.call('ZADD', schedule, latest, member)
      if run then redis.call('HSET', run.key, run.state == 'queued' and 'due' or 'retry_at', latest) end
    end
  end
end

local function hand_out(member)
  redis.call('ZREM', schedule, member)
  local run = waiting_run(member)
  if not run then return end
  if run.state == 'queued' then
    redis.call('HDEL', run.key, 'due')
    redis.call('HSET', run.key, 'queued', now)
  else
    redis.call('HSET', run.key, 'waits', now)
  end
  issue(run.ticket)
end

-- A caller that has just started does not know whether the clock was set back.
if seen_ms == '' or now < tonumber(seen_ms) then shorten() end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', schedule, '-inf', now, 'LIMIT', 0, limit)) do hand_out(member) end
local due = redis.call('ZRANGE', schedule, 0, 0, 'WITHSCORES')[2]
local to_tend = redis.call('SPOP', base .. ':to-tend', limit)
return reply(tostring(now), due and tostring(math.max(0, due - now)) or '', table.concat(to_tend, ' '))

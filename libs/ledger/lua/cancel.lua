-- Cancels a job, or some of its runs. What no worker holds ends here; the rest is left to the workers, which are told.
-- KEYS[1] job.  ARGV 3... indexes; none: the whole job.  Returns {'ended'}, {'unknown'} or {'cancelling', tickets...}.
let_in()
local f = redis.call('HMGET', job, 'state', 'ended')
if not f[1] then return {'unknown'} end
if f[2] then return {'ended'} end
local now = now_ms()
local is_first = false

if #ARGV == 2 then
  redis.call('HSET', job, 'state', 'cancelling', 'stop', 'cancelled_by_user')
  is_first = redis.call('HSETNX', job, 'cancel_requested', now) == 1
  close_waiting('cancelled', 'cancelled_by_user', now)
end
for i = 3, #ARGV do
  local index = ARGV[i]
  local key = run_key(index)
  local state = redis.call('HGET', key, 'state')
  local rest_from = redis.call('HGET', job, 'rest_from')
  if not state and not (rest_from and tonumber(index) >= tonumber(rest_from)) then
    redis.call('HSET', key, 'state', 'cancelled', 'remote', 'not_started', 'reason', 'cancelled_by_user',
      'host', redis.call('LINDEX', hosts, index), 'attempt', 0, 'epoch', 0, 'ended', now)
    move('pending', 'cancelled', 1)
    redis.call('HINCRBY', job, 'done', 1)
    redis.call('RPUSH', wrong, index)
  elseif state == 'queued' or state == 'retry_wait' then
    settle(index, state, 'cancelled', 'not_started', 'cancelled_by_user', now)
  elseif state == 'connecting' or state == 'running' then
    redis.call('HSET', key, 'stop', 'cancelled_by_user')
  end
end
release(now)
close_if_done(now)
if has_moved or is_first then changed() end
order()
return reply('cancelling')

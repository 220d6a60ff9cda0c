-- Cancels a job, or the runs with the given indexes. Without indexes: the whole job. What no worker holds ends here;
-- the workers are told of the rest.
-- Returns {'ended'}, {'unknown'} or {'cancelling', tickets...}.
local indexes_from = 3

let_in()
local now = now_ms()

local function cancel_job()
  redis.call('HSET', job, 'state', 'cancelling', 'stop', 'cancelled_by_user')
  local is_first = redis.call('HSETNX', job, 'cancel_requested', now) == 1
  close_waiting('cancelled', 'cancelled_by_user', now)
  return is_first
end

-- Ends a run that was never released, with a record of its own.
local function cancel_pending(index)
  local rest_from = redis.call('HGET', job, 'rest_from')
  -- It has ended already, with the rest of the job.
  if rest_from and tonumber(index) >= tonumber(rest_from) then return end
  redis.call('HSET', run_key(index), 'state', 'cancelled', 'remote', 'not_started', 'reason', 'cancelled_by_user',
    'host', redis.call('LINDEX', hosts, index), 'attempt', 0, 'epoch', 0, 'ended', now)
  move('pending', 'cancelled', 1)
  redis.call('HINCRBY', job, 'done', 1)
  redis.call('RPUSH', wrong, index)
end

local function cancel_run(index)
  local state = redis.call('HGET', run_key(index), 'state')
  if not state then
    cancel_pending(index)
  elseif WAITING[state] then
    settle(index, state, 'cancelled', 'not_started', 'cancelled_by_user', now)
  elseif HELD[state] then
    redis.call('HSET', run_key(index), 'stop', 'cancelled_by_user')
  end
end

local facts = read(job, 'state', 'ended')
if not facts.state then return {'unknown'} end
if facts.ended then return {'ended'} end
local is_first = false
if #ARGV < indexes_from then is_first = cancel_job() end
for i = indexes_from, #ARGV do cancel_run(ARGV[i]) end
release(now)
close_if_done(now)
if has_moved or is_first then changed() end
order()
return reply('cancelling')

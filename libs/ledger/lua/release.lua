-- Which runs go next: as many as the fan-out allows, of the batch that is due, within the job's share of all workers.

-- A job may have eight ninths of the places that the other jobs leave. So one job alone has nearly all of them, two have
-- the same, and there always is a place for the next one, however large the others are.
local SHARE = 8 / 9

-- How many more runs of this job may be in flight, which has `mine` there. One always may be.
local function room(mine)
  local capacity = redis.call('GET', base .. ':capacity')
  -- No worker has said yet how many runs it takes.
  if not capacity then return math.huge end
  local others = tonumber(redis.call('GET', in_flight) or 0) - mine
  return math.max(1, math.floor((tonumber(capacity) - others) * SHARE)) - mine
end

-- How many hosts of the job were tried and have ended: those that were skipped or cancelled say nothing of the command.
local function tried_count()
  local count = 0
  for _, n in ipairs(redis.call('HMGET', job, 'n:succeeded', 'n:failed', 'n:timed_out', 'n:unreachable', 'n:lost')) do
    count = count + tonumber(n or 0)
  end
  return count
end

-- Begins the next batch. Its start deadline is counted from its own start.
local function begin_batch(now)
  local f = redis.call('HMGET', job, 'batches', 'batch', 'batch_end', 'total', 'batch_pause_ms', 'start_within_ms')
  local sizes = {}
  for size in string.gmatch(f[1], '%d+') do sizes[#sizes + 1] = tonumber(size) end
  local batch, from = tonumber(f[2]) + 1, tonumber(f[3])
  local due = now + f[5]
  redis.call('HDEL', job, 'paused_because')
  redis.call('HSET', job, 'batch', batch, 'batch_from', from, 'tried_before', tried_count(), 'start_deadline', due + f[6],
    'batch_end', math.min(tonumber(f[4]), from + sizes[math.min(batch + 1, #sizes)]))
  if due > now then redis.call('HSET', job, 'batch_due', due) end
end

-- Lets the next pending runs go. Issues their tickets.
local function release(now)
  expire(now)
  local f = redis.call('HMGET', job, 'state', 'next', 'total', 'concurrency', 'stop', 'batch_end', 'batch_due', 'gate')
  if f[5] or (f[1] ~= 'queued' and f[1] ~= 'running') then return end
  local first, index, total = tonumber(f[2]), tonumber(f[2]), tonumber(f[3])
  local last = tonumber(f[6] or total)
  local started = redis.call('SCARD', open)
  local free, delay = math.min(tonumber(f[4]) - started, room(started - redis.call('SCARD', resting))), 0
  -- While a pause lasts, one run waits with its ticket; claiming it lets the others go.
  local due = tonumber(f[7] or 0)
  if due > now then free, delay = 1 - started, due - now end
  local count = 0
  while count < free and index < last do
    -- A run that was cancelled by itself while it was pending has a record already.
    if redis.call('EXISTS', run_key(index)) == 0 then
      local host = redis.call('LINDEX', hosts, index)
      redis.call('HSET', run_key(index), 'state', 'queued', 'remote', 'not_started', 'host', host, 'epoch', 0,
        'attempt', 1, 'queued', now)
      redis.call('SADD', open, index)
      redis.call('INCR', in_flight)
      if delay > 0 then
        redis.call('HSET', run_key(index), 'due', due)
        rest(index)
        ticket_later(index, 1, due, delay)
      else
        ticket(index, host, 1, 0)
      end
      count = count + 1
    end
    index = index + 1
  end
  if index > first then redis.call('HSET', job, 'next', index) end
  if count > 0 then
    move('pending', 'queued', count)
  elseif started == 0 and index >= last and index < total then
    -- The batch has ended, and within the budget: else the job would be stopped. One that tried no host proves nothing.
    local because = f[8] == 'manual' and 'gate' or nil
    if tried_count() == tonumber(redis.call('HGET', job, 'tried_before') or 0) then because = 'nothing_ran' end
    if not because then
      begin_batch(now)
      return release(now)
    end
    redis.call('HSET', job, 'state', 'paused', 'paused_because', because, 'start_deadline',
      now + redis.call('HGET', job, 'start_within_ms'))
  end
end

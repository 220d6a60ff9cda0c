-- Which runs go next: as many as the fan-out allows, of the present batch, within the job's share of all workers.

-- A job may have eight ninths of the places that the other jobs leave. So one job alone has nearly all of them, two
-- have the same, and there is always a place for the next one, however large the others are.
local SHARE = 8 / 9

-- How many more runs of this job may be in flight, when `mine` are. It may always have one.
local function share_left(mine)
  local capacity, all = unpack(redis.call('MGET', base .. ':capacity', in_flight))
  -- No worker has said yet how many runs it takes.
  if not capacity then return math.huge end
  local others = tonumber(all or 0) - mine
  return math.max(1, math.floor((tonumber(capacity) - others) * SHARE)) - mine
end

-- How many runs of the job were tried and have ended. Those that were skipped or cancelled say nothing of the command.
local function tried_count()
  local count = 0
  for _, n in ipairs(redis.call('HMGET', job, 'n:succeeded', 'n:failed', 'n:timed_out', 'n:unreachable', 'n:lost')) do
    count = count + tonumber(n or 0)
  end
  return count
end

-- The size of a batch, counted from 0; the last size repeats.
local function batch_size(batches, batch)
  local sizes = {}
  for size in string.gmatch(batches, '%d+') do sizes[#sizes + 1] = tonumber(size) end
  return sizes[math.min(batch + 1, #sizes)]
end

-- Begins the next batch. Its start deadline counts from its own start.
local function begin_batch(now)
  local facts = read(job, 'batches', 'batch', 'batch_end', 'total', 'batch_pause_ms', 'start_within_ms')
  local batch, from = tonumber(facts.batch) + 1, tonumber(facts.batch_end)
  local last = math.min(tonumber(facts.total), from + batch_size(facts.batches, batch))
  local due = now + facts.batch_pause_ms
  redis.call('HDEL', job, 'paused_because')
  redis.call('HSET', job, 'batch', batch, 'batch_from', from, 'batch_end', last, 'tried_before', tried_count(),
    'start_deadline', due + facts.start_within_ms)
  if due > now then redis.call('HSET', job, 'batch_due', due) end
end

-- Makes the record of a run, and its ticket: now, or when the pause before its batch is over.
local function let_go(index, now, due)
  local key, host = run_key(index), redis.call('LINDEX', hosts, index)
  redis.call('HSET', key, 'state', 'queued', 'remote', 'not_started', 'host', host, 'epoch', 0, 'attempt', 1,
    'queued', now)
  redis.call('SADD', open, index)
  enter_key(index)
  redis.call('INCR', in_flight)
  if due > now then
    redis.call('HSET', key, 'due', due)
    rest(index)
    issue_later(index, 1, due, due - now)
  else
    issue_own(index, host, 1, 0)
  end
end

-- Lets up to `free` runs go, from `next` to before `last`. Returns how many went, and the next one.
local function let_go_up_to(free, next, last, now, due)
  local count = 0
  while count < free and next < last do
    -- A run that was cancelled by itself while it was pending has a record already.
    if redis.call('EXISTS', run_key(next)) == 0 then
      let_go(next, now, due)
      count = count + 1
    end
    next = next + 1
  end
  return count, next
end

-- Why a job whose batch has ended waits for somebody to resume it. Nil: its next batch begins. It has kept its error
-- budget, else it would be stopped.
local function why_paused(gate)
  -- A batch that tried no host proves nothing.
  if tried_count() == tonumber(redis.call('HGET', job, 'tried_before') or 0) then return 'nothing_ran' end
  if gate == 'manual' then return 'gate' end
end

-- Releases the next pending runs, and issues their tickets.
local function release(now)
  local facts = expire(now, 'state', 'next', 'total', 'concurrency', 'batch_end', 'gate')
  if facts.stop or (facts.state ~= 'queued' and facts.state ~= 'running') then return end
  local first, total = tonumber(facts.next), tonumber(facts.total)
  local last, due = tonumber(facts.batch_end or total), tonumber(facts.batch_due or 0)
  local started = redis.call('SCARD', open)
  local free = math.min(tonumber(facts.concurrency) - started, share_left(started - redis.call('SCARD', resting)))
  -- During a pause only one run gets a ticket; claiming it lets the others go.
  if due > now then free = 1 - started end
  local wanted = math.min(free, last - first)
  if wanted > 0 then free = key_left(wanted, started) end
  local count, index = let_go_up_to(free, first, last, now, due)
  if index > first then redis.call('HSET', job, 'next', index) end
  if count > 0 then return move('pending', 'queued', count) end
  if started > 0 or index < last or index == total then return end
  local because = why_paused(facts.gate)
  if not because then
    begin_batch(now)
    return release(now)
  end
  redis.call('HSET', job, 'state', 'paused', 'paused_because', because, 'start_deadline',
    now + redis.call('HGET', job, 'start_within_ms'))
end

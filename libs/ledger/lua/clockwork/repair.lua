-- Ends the runs whose records are damaged where every other step looks: where the run stands, and whose it is. Nobody
-- can know what became of them, and their job could never end.
-- Returns {'repaired', tickets...}.
let_in()
local now = now_ms()
-- How many open runs have records that say each state.
local counts = {queued = 0, connecting = 0, running = 0, retry_wait = 0}

local function is_number(text) return string.find(text or '', '^%d+$') ~= nil end

-- The damaged open runs, each with its state where that can be read.
local function find_damaged()
  local damaged = {}
  for _, index in ipairs(redis.call('SMEMBERS', open)) do
    local run = read(run_key(index), 'state', 'epoch', 'attempt', 'host', 'worker')
    local state = counts[run.state] and run.state
    if state then counts[state] = counts[state] + 1 end
    local has_worker = run.worker or not HELD[state]
    local is_whole = state and run.host and has_worker and is_number(run.epoch) and is_number(run.attempt)
    if not is_whole then damaged[#damaged + 1] = {index = index, state = state} end
  end
  return damaged
end

-- A state that the counts of the job have once more than the records do.
local function find_state()
  local found
  for state, count in pairs(counts) do
    if not found and tonumber(redis.call('HGET', job, 'n:' .. state) or 0) > count then found = state end
  end
  if found then counts[found] = counts[found] + 1 end
  return found
end

for _, run in ipairs(find_damaged()) do
  local state = run.state or find_state()
  if state then
    redis.call('HSET', run_key(run.index), 'state', state, 'epoch', 0, 'host', redis.call('LINDEX', hosts, run.index),
      'detail', 'its record in Redis was damaged before it had ended, so its end is unknown')
    settle(run.index, state, 'lost', 'unknown', 'result_missing', now)
  end
end
if has_moved then
  release(now)
  close_if_done(now)
  changed()
end
return reply('repaired')

-- Ends the runs whose record is damaged in what every other step goes by: where the run stands, and whose it is. Nobody
-- can know what became of them, and their job could never end.
-- KEYS[1] job.  Returns {'repaired', tickets...}.
let_in()
local now = now_ms()
local counts = {queued = 0, connecting = 0, running = 0, retry_wait = 0}
local damaged = {}
for _, index in ipairs(redis.call('SMEMBERS', open)) do
  local f = redis.call('HMGET', run_key(index), 'state', 'epoch', 'attempt', 'host', 'worker')
  local state = counts[f[1]] and f[1]
  if state then counts[state] = counts[state] + 1 end
  local is_held = state == 'connecting' or state == 'running'
  local has_numbers = string.find(f[2] or '', '^%d+$') and string.find(f[3] or '', '^%d+$')
  local is_whole = state and f[4] and (f[5] or not is_held) and has_numbers
  if not is_whole then damaged[#damaged + 1] = {index = index, state = state} end
end
for _, run in ipairs(damaged) do
  -- Where its record does not say where it stood, it is one that the counts have and no other record does.
  for state, count in pairs(counts) do
    if not run.state and tonumber(redis.call('HGET', job, 'n:' .. state) or 0) > count then
      run.state = state
      counts[state] = count + 1
    end
  end
  if run.state then
    redis.call('HSET', run_key(run.index), 'state', run.state, 'epoch', 0, 'host', redis.call('LINDEX', hosts, run.index),
      'detail', 'its record in Redis was damaged before it had ended, so its end is unknown')
    settle(run.index, run.state, 'lost', 'unknown', 'result_missing', now)
  end
end
if has_moved then
  release(now)
  close_if_done(now)
  changed()
end
return reply('repaired')

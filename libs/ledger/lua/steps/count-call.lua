-- Counts a call of an API key, on whichever server: all calls, and those that make jobs or change them.
-- `calls` and `job_calls` are counters that live for `window_ms` from their first call; their limits are 0 for what is
-- not counted now. A counter that is at its limit is not raised.
-- Returns {} when the key may call, else {'calls' or 'job_calls', how many milliseconds its counter has to live}.
local calls, job_calls = KEYS[1], KEYS[2]
local calls_limit, job_calls_limit, window_ms = ARGV[3], ARGV[4], ARGV[5]

-- Counts unless the limit is reached: then it returns how long that lasts.
local function count(counter, limit)
  if tonumber(limit) == 0 then return nil end
  local left = redis.call('PTTL', counter)
  if left <= 0 then
    redis.call('SET', counter, 1, 'PX', window_ms)
    return nil
  end
  -- It has longer to live than it was given if Redis' clock was set back since.
  if left > tonumber(window_ms) then
    left = tonumber(window_ms)
    redis.call('PEXPIRE', counter, left)
  end
  if tonumber(redis.call('GET', counter)) >= tonumber(limit) then return left end
  redis.call('INCR', counter)
end

let_in()
local left = count(calls, calls_limit)
if left then return {'calls', tostring(left)} end
left = count(job_calls, job_calls_limit)
if left then return {'job_calls', tostring(left)} end
return {}

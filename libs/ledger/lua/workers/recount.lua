-- Recounts how many runs are in flight and how many the workers take, so that no mistake in either lasts.
-- `places` is a hash of workers and how many runs each takes.
local places = KEYS[1]

let_in()

local function count_in_flight()
  local count = 0
  for _, active in ipairs(redis.call('SMEMBERS', base .. ':active')) do
    count = count + redis.call('SCARD', job_key(active) .. ':open') - redis.call('SCARD', job_key(active) .. ':resting')
  end
  return count
end

-- Forgets workers without a lease.
local function count_capacity()
  local capacity = 0
  local workers = redis.call('HGETALL', places)
  for i = 1, #workers, 2 do
    local worker, place_count = workers[i], workers[i + 1]
    if redis.call('EXISTS', base .. ':worker:' .. worker) == 1 then
      capacity = capacity + place_count
    else
      redis.call('HDEL', places, worker)
    end
  end
  return capacity
end

redis.call('SET', in_flight, count_in_flight())
local capacity = count_capacity()
-- While there is no worker, what they took last is the best guess.
if capacity > 0 then redis.call('SET', base .. ':capacity', capacity) end
return 'ok'

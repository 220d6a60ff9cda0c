-- Counts anew how many runs are in flight and how many the workers take, so that no mistake in either lasts.
-- KEYS[1] hash of worker and how many runs it takes.  Returns 'ok'.
let_in()
local count = 0
for _, active in ipairs(redis.call('SMEMBERS', base .. ':active')) do
  local key = base .. ':job:' .. active
  count = count + redis.call('SCARD', key .. ':open') - redis.call('SCARD', key .. ':resting')
end
redis.call('SET', in_flight, count)
local capacity = 0
local workers = redis.call('HGETALL', KEYS[1])
for i = 1, #workers, 2 do
  if redis.call('EXISTS', base .. ':worker:' .. workers[i]) == 1 then capacity = capacity + workers[i + 1]
  else redis.call('HDEL', KEYS[1], workers[i]) end
end
-- While no worker is there, what they took last is the best guess.
if capacity > 0 then redis.call('SET', base .. ':capacity', capacity) end
return 'ok'

-- Renews the lease of a worker. `suspicion` is since when the worker was seen without a lease; `places` is a hash of
-- workers and how many runs each takes; `claims` is JSON.
-- Returns 1 if the worker held its lease, else 0.
local lease, suspicion, places = KEYS[1], KEYS[2], KEYS[3]
local claims, lease_ms, worker, place_count = ARGV[3], ARGV[4], ARGV[5], ARGV[6]

let_in()
local was_held = redis.call('EXISTS', lease)
redis.call('SET', lease, claims, 'PX', lease_ms)
redis.call('DEL', suspicion)
redis.call('HSET', places, worker, place_count)
return was_held

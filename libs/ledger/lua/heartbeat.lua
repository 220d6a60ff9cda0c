-- Renews the lease of a worker. KEYS[1] lease, KEYS[2] since when it was seen without one, KEYS[3] hash of worker and how
-- many runs it takes.  ARGV 3 claims as JSON, 4 milliseconds, 5 worker, 6 how many runs it takes.  Returns 1 if it was held.
let_in()
local was_held = redis.call('EXISTS', KEYS[1])
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[3], ARGV[5], ARGV[6])
return was_held

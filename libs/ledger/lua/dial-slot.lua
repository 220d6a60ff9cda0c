-- Takes, keeps or gives back a slot for a handshake with or through a jump host. A slot that its holder does not keep
-- comes free by itself: members of the sorted set are holders, scores the time at which they lose it.
-- KEYS[1] the sorted set of the jump host. ARGV[3] the holder, ARGV[4] slots at once, ARGV[5] how long one is held,
-- in milliseconds; 0 gives it back. Answers 1 when the slot is held.
let_in()
local slots, holder, limit, hold_ms = KEYS[1], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
if hold_ms == 0 then
  redis.call('ZREM', slots, holder)
  return 0
end
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
-- One that lasts longer than any does was taken before the clock was set back.
for _, other in ipairs(redis.call('ZRANGEBYSCORE', slots, '(' .. now + hold_ms, '+inf')) do
  redis.call('ZADD', slots, now + hold_ms, other)
end
if not redis.call('ZSCORE', slots, holder) and redis.call('ZCARD', slots) >= limit then return 0 end
redis.call('ZADD', slots, now + hold_ms, holder)
redis.call('PEXPIRE', slots, hold_ms)
return 1

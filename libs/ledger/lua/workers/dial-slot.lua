-- Takes, keeps or gives back a slot for a handshake with or through a jump host. A slot that its holder does not keep
-- comes free by itself: `slots` is a sorted set of holders, by the time at which they lose their slot.
-- `limit` is how many slots there are; `hold_ms` is how long one is held, 0 to give it back.
-- Returns 1 when the slot is held, else 0.
local slots = KEYS[1]
local holder, limit, hold_ms = ARGV[3], ARGV[4], ARGV[5]

let_in()
if hold_ms == '0' then
  redis.call('ZREM', slots, holder)
  return 0
end
local now = now_ms()
local held_until = now + hold_ms
redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
-- A slot that is held for longer than that was taken before Redis' clock was set back.
for _, other in ipairs(redis.call('ZRANGEBYSCORE', slots, '(' .. held_until, '+inf')) do
  redis.call('ZADD', slots, held_until, other)
end
local is_held = redis.call('ZSCORE', slots, holder)
if not is_held and redis.call('ZCARD', slots) >= tonumber(limit) then return 0 end
redis.call('ZADD', slots, held_until, holder)
redis.call('PEXPIRE', slots, hold_ms)
return 1

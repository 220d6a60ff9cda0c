-- Takes, keeps or gives back a turn for a handshake with or through a jump host. A turn that its holder does not keep
-- comes free by itself: `turns` is a sorted set of holders, by the time at which they lose their turn.
-- `limit` is how many turns there are; `hold_ms` is how long one is held, 0 to give it back.
-- Returns 1 when the turn is held, else 0.
local turns = KEYS[1]
local holder, limit, hold_ms = ARGV[3], ARGV[4], ARGV[5]

let_in()
if hold_ms == '0' then
  redis.call('ZREM', turns, holder)
  return 0
end
local now = now_ms()
local held_until = now + hold_ms
redis.call('ZREMRANGEBYSCORE', turns, '-inf', now)
-- A turn that is held for longer than that was taken before Redis' clock was set back.
for _, other in ipairs(redis.call('ZRANGEBYSCORE', turns, '(' .. held_until, '+inf')) do
  redis.call('ZADD', turns, held_until, other)
end
local is_held = redis.call('ZSCORE', turns, holder)
if not is_held and redis.call('ZCARD', turns) >= tonumber(limit) then return 0 end
redis.call('ZADD', turns, held_until, holder)
redis.call('PEXPIRE', turns, hold_ms)
return 1

-- Whose turn it is to sweep: one process at a time, so long after the last sign of a sweep. Who sweeps gives signs; when it
-- dies, they end. A sign from the future is from before the clock was set back, and says nothing.
-- KEYS[1] when the last sign was.  ARGV 3 milliseconds after it, 4 'begin' or 'keep'.  Returns 0, and has given a sign, or
-- how many milliseconds are left until it may be somebody's turn.
local now = now_ms()
if ARGV[4] == 'begin' then
  local ago = now - (redis.call('GET', KEYS[1]) or 0)
  if ago >= 0 and ago < tonumber(ARGV[3]) then return ARGV[3] - ago end
end
let_in()
redis.call('SET', KEYS[1], now)
return 0

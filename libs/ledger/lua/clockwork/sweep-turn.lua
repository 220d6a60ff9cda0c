-- Decides whose turn it is to sweep: one process at a time, and the next so long after the last sign of a sweep. A
-- process that sweeps gives signs; when it dies, they end. A sign from the future was given before Redis' clock was set
-- back, and says nothing.
-- `sign` is when the last sign was given; `word` is 'begin' or 'keep'.
-- Returns 0 after giving a sign, or how many milliseconds are left until it may be somebody's turn.
local sign = KEYS[1]
local every_ms, word = ARGV[3], ARGV[4]

local now = now_ms()
if word == 'begin' then
  local ago = now - (redis.call('GET', sign) or 0)
  if ago >= 0 and ago < tonumber(every_ms) then return every_ms - ago end
end
let_in()
redis.call('SET', sign, now)
return 0

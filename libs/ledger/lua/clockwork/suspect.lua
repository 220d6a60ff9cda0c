-- Remembers since when something is suspected that a second look must confirm.
-- `kept_ms` is how long the suspicion is kept without a look. Returns milliseconds since the first look.
local suspicion = KEYS[1]
local kept_ms = ARGV[3]

let_in()
local now = now_ms()
local since = tonumber(redis.call('GET', suspicion) or now)
-- A first look in the future was before Redis' clock was set back.
if since >= now then
  redis.call('SET', suspicion, now, 'PX', kept_ms)
  return 0
end
return now - since

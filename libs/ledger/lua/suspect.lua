-- Remembers since when something is suspected that a second look must confirm.
-- KEYS[1] the suspicion.  ARGV 3 milliseconds it is kept without a look.  Returns milliseconds since the first look.
let_in()
local now = now_ms()
local since = tonumber(redis.call('GET', KEYS[1]) or now)
-- In the future: the clock was set back since.
if since >= now then
  redis.call('SET', KEYS[1], now, 'PX', ARGV[3])
  return 0
end
return now - since

-- Stores a piece of a large text of a job that is about to be accepted. The text lapses unless `accept` takes it.
-- Returns 'ok' or 'full'. Sending the same piece again is harmless.
local text = KEYS[1]
local offset, bytes, kept_ms = ARGV[3], ARGV[4], ARGV[5]

if is_full(#bytes) then return 'full' end
redis.call('SETRANGE', text, offset, bytes)
redis.call('PEXPIRE', text, kept_ms)
return 'ok'

-- Appends output to the head of a stream, if the claim still holds and nothing is missing in between.
-- KEYS[1] job, KEYS[2] head of the stream.  ARGV 3 index, 4 epoch, 5 offset of the bytes, 6 bytes.
-- Returns 'ok' or 'fenced'. Sending the same bytes again is harmless.
local f = redis.call('HMGET', run_key(ARGV[3]), 'state', 'epoch')
if f[1] ~= 'running' or f[2] ~= ARGV[4] then return 'fenced' end
redis.call('SETRANGE', KEYS[2], ARGV[5], ARGV[6])
return 'ok'

-- Stores output, if the claim still holds: bytes of the head of a stream at their offset, or in place of its tail.
-- KEYS[1] job, KEYS[2] head or tail of the stream.  ARGV 3 index, 4 epoch, 5 stream, 6 'head' or 'tail',
-- 7 offset of the bytes in the stream, 8 bytes.  Returns 'ok' or 'fenced'. Sending the same again is harmless.
local key = run_key(ARGV[3])
local f = redis.call('HMGET', key, 'state', 'epoch', ARGV[5])
if f[1] ~= 'running' or f[2] ~= ARGV[4] then return 'fenced' end
if ARGV[6] == 'head' then
  local before = redis.call('STRLEN', KEYS[2])
  local grown = redis.call('SETRANGE', KEYS[2], ARGV[7], ARGV[8]) - before
  -- A tail that is there already stays where it is in the stream.
  local omitted = redis.call('HGET', key, ARGV[5] .. '_omitted')
  if omitted and grown > 0 then redis.call('HSET', key, ARGV[5] .. '_omitted', omitted - grown) end
else
  redis.call('SET', KEYS[2], ARGV[8])
  local head = redis.call('STRLEN', base .. ':out:' .. job_id .. ':' .. ARGV[3] .. ':' .. ARGV[5])
  redis.call('HSET', key, ARGV[5] .. '_omitted', ARGV[7] - head)
end
local bytes = ARGV[7] + #ARGV[8]
if bytes > tonumber(f[3] or 0) then redis.call('HSET', key, ARGV[5], bytes) end
return 'ok'

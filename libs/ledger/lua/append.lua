-- Stores output, if the claim still holds: bytes of the head of a stream at their offset, or in place of its tail.
-- KEYS[1] job, KEYS[2] head or tail of the stream.  ARGV 3 index, 4 epoch, 5 nonce of the claim, 6 stream,
-- 7 'head' or 'tail', 8 offset of the bytes in the stream, 9 bytes.  Returns 'ok', 'fenced', 'full', 'gap' where bytes of
-- the head before these are not here, or 'unmarked' where Redis forgot the dispatch mark of this claim. Sending the same
-- again is harmless.
local key = run_key(ARGV[3])
local f = redis.call('HMGET', key, 'state', 'epoch', ARGV[6], 'nonce')
if f[2] ~= ARGV[4] or f[4] ~= ARGV[5] then return 'fenced' end
if f[1] == 'connecting' then return 'unmarked' end
if f[1] ~= 'running' then return 'fenced' end
if is_full(#ARGV[9]) then return 'full' end
if ARGV[7] == 'head' then
  local before = redis.call('STRLEN', KEYS[2])
  -- Redis forgot them. SETRANGE would put NUL bytes there.
  if before < tonumber(ARGV[8]) then return 'gap' end
  local grown = redis.call('SETRANGE', KEYS[2], ARGV[8], ARGV[9]) - before
  -- A tail that is there already stays where it is in the stream.
  local omitted = redis.call('HGET', key, ARGV[6] .. '_omitted')
  if omitted and grown > 0 then redis.call('HSET', key, ARGV[6] .. '_omitted', omitted - grown) end
else
  redis.call('SET', KEYS[2], ARGV[9])
  local head = redis.call('STRLEN', base .. ':out:' .. job_id .. ':' .. ARGV[3] .. ':' .. ARGV[6])
  redis.call('HSET', key, ARGV[6] .. '_omitted', ARGV[8] - head)
end
local bytes = ARGV[8] + #ARGV[9]
if bytes > tonumber(f[3] or 0) then redis.call('HSET', key, ARGV[6], bytes) end
return 'ok'

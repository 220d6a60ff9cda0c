-- Reads part of a stream in one step, as its tail moves while the command runs.
-- KEYS[1] head, KEYS[2] tail.  ARGV 3 index, 4 stream, 5 first byte wanted, 6 how many.
-- Returns {where the bytes begin, bytes, bytes known of, bytes between head and tail that are not kept, when the command
-- that wrote them was started (0: it was not)}.
local f = redis.call('HMGET', run_key(ARGV[3]), ARGV[4] .. '_omitted', 'started')
-- A record that cannot be read must not keep its output from being read. The limit is that of a time.
local function number(text)
  local given = tonumber(text or 0)
  return given and given >= 0 and given <= 8.64e15 and math.floor(given) or 0
end
local omitted, started = number(f[1]), number(f[2])
local from, count = tonumber(ARGV[5]), tonumber(ARGV[6])
local head, tail = redis.call('STRLEN', KEYS[1]), redis.call('STRLEN', KEYS[2])
local tail_from = head + omitted
local known = tail_from + tail
if count == 0 or from >= known then return {from, '', known, omitted, started} end
if from < head then
  return {from, redis.call('GETRANGE', KEYS[1], from, math.min(head, from + count) - 1), known, omitted, started}
end
from = math.max(from, tail_from)
return {from, redis.call('GETRANGE', KEYS[2], from - tail_from, from - tail_from + count - 1), known, omitted, started}

-- Reads part of a stream in one step, because its tail moves while the command runs.
-- `from` is the first byte wanted, `count` how many.
-- Returns {where the bytes begin, bytes, how many bytes are known of, how many between head and tail are not kept, when
-- the command that wrote them was started (0: it was not)}.
local head, tail = KEYS[2], KEYS[3]
local index, stream, from, count = ARGV[3], ARGV[4], ARGV[5], ARGV[6]

-- A record that cannot be read must not keep its output from being read. The limit is that of a JavaScript date.
local function number(text)
  local given = tonumber(text or 0)
  return given and given >= 0 and given <= 8.64e15 and math.floor(given) or 0
end

local run = read(run_key(index), stream .. '_omitted', 'started')
local omitted, started = number(run[stream .. '_omitted']), number(run.started)
local head_bytes, tail_bytes = redis.call('STRLEN', head), redis.call('STRLEN', tail)
local tail_from = head_bytes + omitted
local known = tail_from + tail_bytes
local first, wanted = tonumber(from), tonumber(count)
if wanted == 0 or first >= known then return {first, '', known, omitted, started} end
if first < head_bytes then
  local last = math.min(head_bytes, first + wanted) - 1
  return {first, redis.call('GETRANGE', head, first, last), known, omitted, started}
end
first = math.max(first, tail_from)
local at = first - tail_from
return {first, redis.call('GETRANGE', tail, at, at + wanted - 1), known, omitted, started}

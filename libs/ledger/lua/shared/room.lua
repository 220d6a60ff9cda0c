-- For `accept`, `store-text` and `append`, the scripts that make Redis grow. They are refused when less than
-- an eighth of its memory would be left, so that BullMQ's scripts find some: those cannot be let in.
local function is_full(bytes)
  local memory = redis.call('INFO', 'memory')
  local most = tonumber(string.match(memory, 'maxmemory:(%d+)'))
  return most > 0 and string.match(memory, 'used_memory:(%d+)') + bytes > most * 7 / 8
end

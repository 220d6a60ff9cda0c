-- Stores output while the claim holds: bytes of the head of a stream at their offset, or the present tail instead of
-- the one before. `stored` is the key of the head or tail; `side` is 'head' or 'tail'; `offset` counts from the
-- beginning of the stream.
-- Returns 'ok'; 'fenced'; 'full'; 'gap' when bytes of the head before these are missing; or 'unmarked' when Redis
-- forgot the dispatch mark of this claim. Sending the same again is harmless.
local stored = KEYS[2]
local index, epoch, nonce = ARGV[3], ARGV[4], ARGV[5]
local stream, side, offset, bytes = ARGV[6], ARGV[7], ARGV[8], ARGV[9]

local key = run_key(index)
local omitted = stream .. '_omitted'

-- Returns whether the bytes before these are there. SETRANGE would put NUL bytes instead of those that Redis forgot.
local function store_head()
  local before = redis.call('STRLEN', stored)
  if before < tonumber(offset) then return false end
  local grown = redis.call('SETRANGE', stored, offset, bytes) - before
  -- A tail that is there already stays where it is in the stream.
  local left_out = redis.call('HGET', key, omitted)
  if left_out and grown > 0 then redis.call('HSET', key, omitted, left_out - grown) end
  return true
end

local function store_tail()
  redis.call('SET', stored, bytes)
  redis.call('HSET', key, omitted, offset - redis.call('STRLEN', head_key(index, stream)))
end

local run = read(key, 'state', 'epoch', 'nonce', stream)
if run.epoch ~= epoch or run.nonce ~= nonce then return 'fenced' end
if run.state == 'connecting' then return 'unmarked' end
if run.state ~= 'running' then return 'fenced' end
if is_full(#bytes) then return 'full' end
if side == 'tail' then
  store_tail()
elseif not store_head() then
  return 'gap'
end
local known = offset + #bytes
if known > tonumber(run[stream] or 0) then redis.call('HSET', key, stream, known) end
return 'ok'

-- The output of an attempt that started is kept beside the output of the next one, until the next one has started too.

local OUTPUT_FIELDS = {'stdout', 'stderr', 'stdout_omitted', 'stderr_omitted', 'stdout_sha256', 'stderr_sha256',
  'digest', 'incomplete', 'exit_code', 'signal', 'reached'}

-- What marks the names of fields and of keys: those of the present output, and those of the one that is kept.
local PRESENT = {field = '', key = ''}
local KEPT = {field = 'kept_', key = ':kept'}

local function output_keys(index)
  local keys = {}
  for _, stream in ipairs({'stdout', 'stderr'}) do
    local head = head_key(index, stream)
    keys[#keys + 1] = head
    keys[#keys + 1] = head .. ':tail'
  end
  return keys
end

-- Replaces whatever is at the destination.
local function move_output(index, from, to)
  local key = run_key(index)
  for _, field in ipairs(OUTPUT_FIELDS) do
    local value = redis.call('HGET', key, from.field .. field)
    redis.call('HDEL', key, from.field .. field, to.field .. field)
    if value then redis.call('HSET', key, to.field .. field, value) end
  end
  for _, stored in ipairs(output_keys(index)) do
    redis.call('DEL', stored .. to.key)
    if redis.call('EXISTS', stored .. from.key) == 1 then redis.call('RENAME', stored .. from.key, stored .. to.key) end
  end
end

local function keep_output(index) move_output(index, PRESENT, KEPT) end

local function bring_back_output(index) move_output(index, KEPT, PRESENT) end

local function drop_kept_output(index)
  for _, stored in ipairs(output_keys(index)) do redis.call('DEL', stored .. KEPT.key) end
end

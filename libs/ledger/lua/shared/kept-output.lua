-- The output and the end of an attempt that started are kept beside those of the next one, until that has started too.

local OUTPUT_FIELDS = {'stdout', 'stderr', 'stdout_omitted', 'stderr_omitted', 'stdout_sha256', 'stderr_sha256',
  'digest', 'incomplete', 'missing', 'exit_code', 'signal', 'reached'}

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

-- Forgets how an attempt has ended.
local function forget_end(key)
  redis.call('HDEL', key, 'detail', 'exit_code', 'signal', 'digest', 'stdout_sha256', 'stderr_sha256', 'incomplete',
    'missing', 'signed')
end

-- Copies a field of a run to another one, which is deleted when there is no such field.
local function copy_field(key, from, to)
  local value = redis.call('HGET', key, from)
  if value then redis.call('HSET', key, to, value) else redis.call('HDEL', key, to) end
end

-- Keeps how an attempt has ended that may be the last one to start, with what its worker has signed.
local function keep_end(key, state, remote, reason)
  redis.call('HSET', key, 'kept_state', state, 'kept_remote', remote, 'kept_reason', reason)
  copy_field(key, 'detail', 'kept_detail')
  copy_field(key, 'signed', 'kept_signed')
  copy_field(key, 'worker', 'kept_worker')
  copy_field(key, 'attempt', 'kept_attempt')
end

-- Makes the kept end that of the run. `end_attempt` is the attempt that it is of; others have followed, in vain.
local function bring_back_end(key)
  copy_field(key, 'kept_detail', 'detail')
  copy_field(key, 'kept_signed', 'signed')
  copy_field(key, 'kept_worker', 'worker')
  local attempt = redis.call('HGET', key, 'kept_attempt')
  if attempt then redis.call('HSET', key, 'end_attempt', attempt) end
end

-- Writes the dispatch mark, before the command is sent. From here on nobody may say that the command did not start.
-- `connect_ms` is how long connecting took; `mode` is 'attached' or 'durable'; `host_key` is a digest of the key with
-- which the host has proved its identity, or ''; `reached` is what the connection reached, as JSON, or '';
-- `notice` is what to tell people of the connection, or ''.
-- Returns {'go', ms for which the lease of the worker certainly holds}; {'over', state, reason} when the command must
-- not start any more; {'fenced'}; or {'no_lease'} when the lease has run out, though nobody has taken the run away yet.
local index, epoch, nonce = ARGV[3], ARGV[4], ARGV[5]
local connect_ms, mode, host_key, reached, notice = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]

let_in()
local key = run_key(index)
local run = read(key, 'state', 'epoch', 'worker', 'attempt', 'host', 'nonce', 'stop', 'kept_state')
local lease = base .. ':worker:' .. (run.worker or '')

-- -1: the lease has no end. -2: there is none.
local lease_ms = redis.call('PTTL', lease)

local function go() return {'go', tostring(lease_ms)} end

-- Forgets what an earlier attempt left. Its output is put aside, in case this one does not start after all.
local function clear_earlier_attempt()
  redis.call('SREM', noticed, index)
  redis.call('HDEL', key, 'reason', 'detail', 'notice', 'ended', 'mode')
  keep_output(index)
end

-- Notes a host that shows a key which another host of the job has shown. Hosts of one machine share its key by right.
local function note_twin()
  if redis.call('HSETNX', host_keys, host_key, index) == 1 then return end
  local first = redis.call('HGET', host_keys, host_key)
  local first_host = redis.call('HGET', run_key(first), 'host')
  if machine_of(first, first_host) ~= machine_of(index, run.host) then redis.call('ZADD', twins, first, index) end
end

local is_own = run.epoch == epoch and run.nonce == nonce
-- The same request again, because its reply was lost: a claim dispatches once, so this is its own mark.
if is_own and run.state == 'running' then return go() end
-- The claim is not this worker's any more, or the run has ended.
if not is_own or run.state ~= 'connecting' then return {'fenced'} end
if lease_ms == -2 then return {'no_lease'} end
local now = now_ms()
local to, reason = why_not(run, read(job, 'stop', 'job_deadline', 'start_deadline', 'key_id'), now)
if to then return {'over', to, reason} end

if tonumber(run.attempt) > 1 then clear_earlier_attempt() end
redis.call('HSET', key, 'state', 'running', 'remote', 'started', 'started', now, 'connect_ms', connect_ms)
if reached ~= '' then redis.call('HSET', key, 'reached', reached) end
if mode == 'durable' then redis.call('HSET', key, 'mode', 'durable') end
if notice ~= '' then add_notice(index, notice) end
move('connecting', 'running', 1)
close_breaker(run.host)
if host_key ~= '' then note_twin() end
changed()
return go()

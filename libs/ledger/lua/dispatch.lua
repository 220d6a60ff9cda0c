-- The dispatch mark: written before the command is sent. From here on nobody may say that it did not start.
-- KEYS[1] job.  ARGV 3 index, 4 epoch, 5 nonce of the claim, 6 milliseconds that connecting took, 7 'attached' or
-- 'durable', 8 digest of the key that the host has proved its identity with, or '', 9 what to tell people of the
-- connection, or ''.
-- Returns {'go', ms for which the lease of the worker certainly holds}, {'over', state, reason} when it must not start
-- any more, {'fenced'}, or {'no_lease'} when the lease has run out though nobody took the run away yet.
let_in()
local key = run_key(ARGV[3])
local f = redis.call('HMGET', key, 'state', 'epoch', 'worker', 'attempt', 'host', 'nonce')
local lease = base .. ':worker:' .. (f[3] or '')
-- The same request again, its reply was lost: a claim dispatches once, so this is its own mark.
if f[1] == 'running' and f[2] == ARGV[4] and f[6] == ARGV[5] then return {'go', tostring(redis.call('PTTL', lease))} end
-- The claim is not ours any more: another epoch or nonce, or the run has ended.
if f[1] ~= 'connecting' or f[2] ~= ARGV[4] or f[6] ~= ARGV[5] then return {'fenced'} end
if redis.call('EXISTS', lease) == 0 then return {'no_lease'} end
local now = now_ms()
local to, reason = why_not(ARGV[3], now)
if to then return {'over', to, reason} end

-- What an earlier attempt left is not of this one; it is put away, should this one not start after all.
redis.call('SREM', noticed, ARGV[3])
redis.call('HDEL', key, 'reason', 'detail', 'notice', 'ended', 'mode')
if tonumber(f[4]) > 1 then move_output(ARGV[3], '', 'kept') end
redis.call('HSET', key, 'state', 'running', 'remote', 'started', 'started', now, 'connect_ms', ARGV[6],
  unpack(ARGV[7] == 'durable' and {'mode', 'durable'} or {}))
if ARGV[9] ~= '' then
  redis.call('HSET', key, 'notice', ARGV[9])
  redis.call('SADD', noticed, ARGV[3])
end
move('connecting', 'running', 1)
close_breaker(f[5])
-- A key that another host of the job has shown. Hosts of one machine, under two users, are told of as such.
if ARGV[8] ~= '' and redis.call('HSETNX', host_keys, ARGV[8], ARGV[3]) == 0 then
  local other = redis.call('HGET', host_keys, ARGV[8])
  if machine_of(other) ~= machine_of(ARGV[3]) then redis.call('ZADD', twins, other, ARGV[3]) end
end
changed()
return {'go', tostring(redis.call('PTTL', lease))}

-- Gives a run to a worker. This compare-and-set, not BullMQ, decides who runs it: BullMQ may deliver twice.
-- KEYS[1] job.  ARGV 3 index, 4 attempt of the ticket, 5 worker, 6 nonce of this request.
-- Returns {'claimed', epoch, host} or {why not}: 'gone', 'stale', 'ended', 'held'.
local key = run_key(ARGV[3])
local f = redis.call('HMGET', key, 'state', 'attempt', 'host', 'nonce', 'epoch')
if not f[1] then return {'gone'} end
-- A ticket of an earlier attempt has nothing left to ask for.
if f[2] ~= ARGV[4] then return {'stale'} end
if TERMINAL[f[1]] then return {'ended'} end
-- The same request again: its reply was lost on the way. It is the same claim.
if f[1] == 'connecting' and f[4] == ARGV[6] then return {'claimed', f[5], f[3]} end
-- Someone has it. If that worker is dead, the sweep settles the run; a second delivery never starts it.
if f[1] ~= 'queued' then return {'held'} end

local now = now_ms()
local epoch = redis.call('HINCRBY', key, 'epoch', 1)
redis.call('HSET', key, 'state', 'connecting', 'worker', ARGV[5], 'nonce', ARGV[6], 'connecting', now)
move('queued', 'connecting', 1)
if redis.call('HGET', job, 'state') == 'queued' then
  redis.call('HSET', job, 'state', 'running', 'started', now)
end
changed()
return {'claimed', tostring(epoch), f[3]}

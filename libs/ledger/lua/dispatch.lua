-- The dispatch mark: written before the command is sent. From here on nobody may say that it did not start.
-- KEYS[1] job.  ARGV 3 index, 4 epoch, 5 milliseconds that connecting took.  Returns 'go', 'cancelled' or 'fenced'.
local key = run_key(ARGV[3])
local f = redis.call('HMGET', key, 'state', 'epoch')
-- The same request again, its reply was lost: a claim dispatches once, so this is its own mark.
if f[1] == 'running' and f[2] == ARGV[4] then return 'go' end
-- The claim is not ours any more: another epoch, or the run has ended.
if f[1] ~= 'connecting' or f[2] ~= ARGV[4] then return 'fenced' end
if redis.call('HGET', job, 'state') == 'cancelling' then return 'cancelled' end
redis.call('HSET', key, 'state', 'running', 'remote', 'started', 'started', now_ms(), 'connect_ms', ARGV[5])
move('connecting', 'running', 1)
changed()
return 'go'

-- Keeps what a worker found of a run that was settled without it, beside its end. It changes nothing else.
-- `late_result` is JSON. Returns 'kept', or 'held' when the claim holds after all: then the run is to be finished.
local index, epoch, nonce, late_result = ARGV[3], ARGV[4], ARGV[5], ARGV[6]

let_in()
local key = run_key(index)
local run = read(key, 'state', 'epoch', 'nonce')
if not run.state then return 'kept' end
if run.epoch == epoch and run.nonce == nonce and HELD[run.state] then return 'held' end
if redis.call('HSETNX', key, 'late_result', late_result) == 0 then return 'kept' end
redis.call('SADD', noticed, index)
changed()
return 'kept'

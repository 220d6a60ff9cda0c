-- Makes a run attached that was to be durable and cannot be on its host, before its command is sent.
-- `notice` is what to tell people. Returns 'ok' or 'fenced'.
local index, epoch, nonce, notice = ARGV[3], ARGV[4], ARGV[5], ARGV[6]

let_in()
local key = run_key(index)
local run = read(key, 'state', 'epoch', 'nonce')
if run.state ~= 'running' or run.epoch ~= epoch or run.nonce ~= nonce then return 'fenced' end
redis.call('HSET', key, 'mode', 'attached')
add_notice(index, notice)
return 'ok'

-- Hands a durable run, which goes on at its host, from a worker that has to go to another one.
-- Returns {'handed_over', tickets...} or {'fenced'}.
local index, epoch, nonce = ARGV[3], ARGV[4], ARGV[5]

let_in()
local run = read(run_key(index), 'state', 'epoch', 'mode', 'nonce')
local is_own = run.epoch == epoch and run.nonce == nonce
if not is_own or run.state ~= 'running' or run.mode ~= 'durable' then return {'fenced'} end
offer(index, now_ms())
changed()
return reply('handed_over')

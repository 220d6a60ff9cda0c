-- Raises the exec timeout of a job, and tells the workers. Never lowers it. `signed` is the order of the server, or ''.
-- Returns 'raised', 'ended', 'unknown', or the present timeout when that is longer.
local exec_timeout_ms, signed = ARGV[3], ARGV[4]

let_in()
local facts = read(job, 'state', 'ended', 'exec_timeout_ms')
if not facts.state then return 'unknown' end
if facts.ended then return 'ended' end
local wanted, present = tonumber(exec_timeout_ms), tonumber(facts.exec_timeout_ms)
if wanted < present then return facts.exec_timeout_ms end
keep_signed('exec_timeout', signed)
if wanted == present then return 'raised' end
redis.call('HSET', job, 'exec_timeout_ms', exec_timeout_ms)
changed()
order()
return 'raised'

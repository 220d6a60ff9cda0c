-- What nearly every script uses: the names of keys, the clock, reading a hash, the counts, and the tickets to issue.
-- redis/script-table.ts lists what each script is given; test/support/ledger/state-machine.ts models what they all do.

-- Every script is given the base of all key names, and the ID of its job or ''.
local base, job_id = ARGV[1], ARGV[2]

local function job_key(of_job) return base .. ':job:' .. of_job end

-- KEYS[1] of every script that has a job, by which a cluster finds the node.
local job = job_key(job_id)
local hosts, open, wrong = job .. ':hosts', job .. ':open', job .. ':wrong'
local errors, noticed = job .. ':errors', job .. ':noticed'
-- While the job goes on: the machine of each host that shares one, and the first host that showed each host key.
local machines, host_keys = job .. ':machines', job .. ':host-keys'
-- For good: the hosts that showed a key after another host, each with that first host as its score.
local twins = job .. ':twins'
-- The open runs that need no worker soon: they wait for a retry, for their host, or for the end of a pause.
local resting = job .. ':resting'
-- How many open runs of all jobs do not rest.
local in_flight = base .. ':in-flight'

local function run_key(index) return base .. ':run:' .. job_id .. ':' .. index end

local function head_key(index, stream) return base .. ':out:' .. job_id .. ':' .. index .. ':' .. stream end

local WAITING = {queued = true, retry_wait = true}
local HELD = {connecting = true, running = true}
local TERMINAL = {succeeded = true, failed = true, timed_out = true, unreachable = true, cancelled = true,
  skipped = true, lost = true}
local ERRORS = {failed = true, timed_out = true, unreachable = true, lost = true}

-- Lets a script write though Redis is full (`noeviction`). Redis checks its memory only before the first write of a
-- script, and deleting a key that is not there passes that check. Every script that writes calls this first, except
-- those that room.lua refuses.
local function let_in() redis.call('DEL', base .. ':nothing') end

-- Milliseconds by Redis' own clock, the only clock that decides anything.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Some fields of a hash, as a table by field name. Fields that are not there are nil.
local function read(key, ...)
  local values, fields = redis.call('HMGET', key, ...), {}
  for i, name in ipairs({...}) do
    if values[i] then fields[name] = values[i] end
  end
  return fields
end

-- Whether this script has changed the counts.
local has_moved = false

local function move(from, to, count)
  redis.call('HINCRBY', job, 'n:' .. from, -count)
  redis.call('HINCRBY', job, 'n:' .. to, count)
  has_moved = true
end

local function rest(index)
  if redis.call('SADD', resting, index) == 1 then redis.call('DECR', in_flight) end
end

-- The opposite of `rest`, for a run of any job.
local function rouse(of_job, index)
  if redis.call('SREM', job_key(of_job) .. ':resting', index) == 1 then redis.call('INCR', in_flight) end
end

-- Tells those who wait for a change of the job. Every script that changes what a caller can see calls this.
local function changed()
  redis.call('HINCRBY', job, 'version', 1)
  redis.call('PUBLISH', base .. ':changed', job_id)
end

-- Tells the workers that hold runs of this job to look at it: it is to stop, or its exec timeout was raised.
local function order() redis.call('PUBLISH', base .. ':orders', job_id) end

-- Keeps what the server has signed of the job under this name; '' when it does not sign.
local function keep_signed(name, signed)
  if signed ~= '' then redis.call('HSET', job .. ':signed', name, signed) end
end

local function add_notice(index, notice)
  local key = run_key(index)
  local before = redis.call('HGET', key, 'notice')
  redis.call('HSET', key, 'notice', before and before .. '; ' .. notice or notice)
  redis.call('SADD', noticed, index)
end

-- The tickets to issue after this script, field after field. `reissue` counts how often the ticket of an attempt was
-- issued again, because a durable run changed hands or because the run had to wait for its host.
local TICKET_FIELDS = {'job_id', 'title', 'index', 'host', 'attempt', 'reissue'}
local tickets = {}

local function issue(ticket)
  ticket.title = redis.call('HGET', job_key(ticket.job_id), 'title') or ''
  for _, field in ipairs(TICKET_FIELDS) do tickets[#tickets + 1] = tostring(ticket[field]) end
end

local function issue_own(index, host, attempt, reissue)
  issue({job_id = job_id, index = index, host = host, attempt = attempt, reissue = reissue})
end

-- Sets a ticket aside until it is due (due.lua). The delay is kept with it, in case Redis' clock is set back.
local function issue_later(index, attempt, due, delay)
  redis.call('ZADD', base .. ':due', due, table.concat({job_id, index, attempt, delay}, ':'))
end

-- The answer of a script: words, then the tickets.
local function reply(...)
  local answer = {...}
  for _, word in ipairs(tickets) do answer[#answer + 1] = word end
  return answer
end

-- Shared by every script; put in front of each, before host.lua, settle.lua and release.lua. ARGV[1] is the base of all
-- key names, ARGV[2] the job ID. Names, the clock, the counts, and the tickets a script hands back.
-- The model of all of it, in one pure function with its table in words, is src/state-machine.ts.

local base, job_id = ARGV[1], ARGV[2]
local job = base .. ':job:' .. job_id
local hosts, open, wrong = job .. ':hosts', job .. ':open', job .. ':wrong'
local errors = job .. ':errors'
local noticed = job .. ':noticed'
-- While the job goes on: the machines of hosts that are not one by themselves, and the first host that showed a host key, by
-- its digest. For good: the hosts that showed one after that, each with the first as its score.
local machines, host_keys, twins = job .. ':machines', job .. ':host-keys', job .. ':twins'
-- Of the open runs those that hold no worker and will not soon: they wait for a retry, for their host, or for the end of a
-- pause. The others, of all jobs, are in flight.
local resting = job .. ':resting'
local in_flight = base .. ':in-flight'

local TERMINAL = {succeeded = true, failed = true, timed_out = true, unreachable = true, cancelled = true,
  skipped = true, lost = true}
local ERRORS = {failed = true, timed_out = true, unreachable = true, lost = true}

-- Lets a script through though Redis is full (`noeviction`): memory is asked for only before its first write, and this
-- one, of a key that is not there, needs none. Called first by every script that writes, but for those in room.lua.
local function let_in() redis.call('DEL', base .. ':nothing') end

local function run_key(index) return base .. ':run:' .. job_id .. ':' .. index end

-- Milliseconds by Redis' own clock: the only clock that decides anything.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
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

-- The same for a run of any job.
local function rouse(of_job, index)
  if redis.call('SREM', base .. ':job:' .. of_job .. ':resting', index) == 1 then redis.call('INCR', in_flight) end
end

-- Tells those who wait for a change of the job. Every script that changes anything a caller can see ends with it.
local function changed()
  redis.call('HINCRBY', job, 'version', 1)
  redis.call('PUBLISH', base .. ':changed', job_id)
end

-- Tells the workers that hold runs of this job to look at it: it is to stop, or a limit was raised.
local function order() redis.call('PUBLISH', base .. ':orders', job_id) end

-- The tickets to be issued after this script: six values each. `resume` counts how often the ticket of an attempt was
-- issued anew, because a durable run changed hands or the run had to wait for its host.
local tickets = {}

local function ticket_of(of_job, index, host, attempt, resume)
  local title = redis.call('HGET', base .. ':job:' .. of_job, 'title') or ''
  for _, word in ipairs({of_job, title, index, host, attempt, resume}) do
    tickets[#tickets + 1] = tostring(word)
  end
end

local function ticket(index, host, attempt, resume) ticket_of(job_id, index, host, attempt, resume) end

-- A ticket that is to be issued later (due.lua). The delay stands with it, so that a clock that was set back can be met.
local function ticket_later(index, attempt, due, delay)
  redis.call('ZADD', base .. ':due', due, table.concat({job_id, index, attempt, delay}, ':'))
end

-- The answer of a script: words, then the tickets.
local function reply(...)
  local answer = {...}
  for _, word in ipairs(tickets) do answer[#answer + 1] = word end
  return answer
end

-- What a run says of its output, and where the output is.
local OUTPUT_FIELDS = {'stdout', 'stderr', 'stdout_omitted', 'stderr_omitted', 'stdout_sha256', 'stderr_sha256', 'digest',
  'incomplete', 'exit_code', 'signal'}

local function output_keys(index)
  local keys = {}
  for _, stream in ipairs({'stdout', 'stderr'}) do
    local head = base .. ':out:' .. job_id .. ':' .. index .. ':' .. stream
    keys[#keys + 1] = head
    keys[#keys + 1] = head .. ':tail'
  end
  return keys
end

-- Puts the output of an attempt away, or takes it back in place of what is there: from = '' and to = 'kept', or the
-- other way round. What stands at the destination is gone.
local function move_output(index, from, to)
  local key = run_key(index)
  local from_field, to_field = from == '' and '' or from .. '_', to == '' and '' or to .. '_'
  for _, field in ipairs(OUTPUT_FIELDS) do
    local value = redis.call('HGET', key, from_field .. field)
    redis.call('HDEL', key, from_field .. field, to_field .. field)
    if value then redis.call('HSET', key, to_field .. field, value) end
  end
  local from_key, to_key = from == '' and '' or ':' .. from, to == '' and '' or ':' .. to
  for _, place in ipairs(output_keys(index)) do
    redis.call('DEL', place .. to_key)
    if redis.call('EXISTS', place .. from_key) == 1 then redis.call('RENAME', place .. from_key, place .. to_key) end
  end
end

local function set_reason(key, reason)
  if reason == '' then redis.call('HDEL', key, 'reason') else redis.call('HSET', key, 'reason', reason) end
end

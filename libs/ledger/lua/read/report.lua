-- Reads all that the report of a job says, in one step, so that all of it is of one moment.
-- Returns {} for an unknown job. Else the fields of the job, then the runs that went wrong (errors first), how many
-- went wrong, the first runs that ended without having been released, the runs with a notice, the hosts that showed the
-- key of another host, the hosts that spent the error budget, the reruns, and the beginning of a script that is kept
-- apart, and runs that wait for their machine: {host, and what holder_before gives}. A run is {index, host, fields};
-- hosts of one key are {the first that showed it, how many, names}.
local wrong_limit, rest_limit, notice_limit, key_limit = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local rerun_limit, script_bytes, wait_limit = ARGV[7], ARGV[8], ARGV[9]

local fields = redis.call('HGETALL', job)
local facts = read(job, 'state', 'total', 'rest_from', 'tripped_at', 'script_bytes')
if not facts.state then return {} end

local function host_of(index) return redis.call('LINDEX', hosts, index) or '' end

-- A record names its host; one that was never written, or is damaged, may not.
local function run_of(index)
  local record = redis.call('HGETALL', run_key(index))
  for i = 1, #record, 2 do
    if record[i] == 'host' then return {tostring(index), record[i + 1], record} end
  end
  return {tostring(index), host_of(index), record}
end

-- What was skipped or cancelled, however many, must not hide what failed.
local problems, seen = {}, {}
for _, list in ipairs({errors, wrong}) do
  for _, index in ipairs(redis.call('LRANGE', list, 0, wrong_limit - 1)) do
    if not seen[index] then
      seen[index] = true
      problems[#problems + 1] = run_of(index)
    end
  end
end

-- A record that cannot be read gives nothing here, and is reported as damaged by who reads the fields.
local unreleased = {}
local rest_from, total = tonumber(facts.rest_from), tonumber(facts.total)
if rest_from and total then
  for index = rest_from, math.min(total, rest_from + rest_limit) - 1 do unreleased[#unreleased + 1] = run_of(index) end
end

local told = {}
for _, index in ipairs(redis.call('SRANDMEMBER', noticed, notice_limit)) do told[#told + 1] = run_of(index) end

-- The hosts that showed a key after the `first` host, whose index is their score.
local function twins_of(first, from, to)
  local names = {}
  local indexes = redis.call('ZRANGEBYSCORE', twins, from, to, 'LIMIT', 0, notice_limit)
  table.sort(indexes, function(a, b) return tonumber(a) < tonumber(b) end)
  for _, index in ipairs(indexes) do names[#names + 1] = host_of(index) end
  return {first, tostring(redis.call('ZCOUNT', twins, from, to)), names}
end

local firsts, after = {}, '-inf'
while #firsts <= tonumber(key_limit) do
  local next_twin = redis.call('ZRANGEBYSCORE', twins, after, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if not next_twin[2] then break end
  firsts[#firsts + 1] = next_twin[2]
  after = '(' .. next_twin[2]
end
local same_key = {}
if #firsts > tonumber(key_limit) then
  same_key = {twins_of('', '-inf', '+inf')}
else
  for _, first in ipairs(firsts) do same_key[#same_key + 1] = twins_of(host_of(first), first, first) end
end

local tripped = {}
local tripped_at = tonumber(facts.tripped_at)
if tripped_at then
  -- They may be most hosts of the job, and looking them up one by one would take Redis long.
  local names = redis.call('LRANGE', hosts, 0, -1)
  for _, index in ipairs(redis.call('LRANGE', errors, 0, tripped_at - 1)) do
    tripped[#tripped + 1] = names[tonumber(index) + 1] or ''
  end
end

local waiting = {}
for _, index in ipairs(redis.call('SRANDMEMBER', resting, wait_limit)) do
  local run = read(run_key(index), 'state', 'waits', 'host')
  local holder = is_waiting_for_host(run) and holder_before(index, run.host)
  if holder then waiting[#waiting + 1] = {run.host or '', unpack(holder)} end
end

local reruns = redis.call('LRANGE', job .. ':reruns', 0, rerun_limit - 1)
local script = facts.script_bytes and redis.call('GETRANGE', job .. ':script', 0, script_bytes - 1) or ''
local wrong_count = tostring(redis.call('LLEN', wrong))
return {fields, problems, wrong_count, unreleased, told, same_key, tripped, reruns, script, waiting}

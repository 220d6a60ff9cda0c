-- Which run holds the machine that another one waits for, and how long it may.

-- Most runs at one machine that are looked at. There are more only if all of them just read.
local HOLDERS_LIMIT = 8

-- When the time of a run is over, in milliseconds since 1970: that of its command, of its health check, and what each
-- has to end by itself when it is killed. Nil while it has none, as its command was not sent yet.
local function ends_by(of_job, started)
  local facts = read(job_key(of_job), 'exec_timeout_ms', 'job_deadline', 'kill_grace_ms', 'health_timeout_ms')
  local grace, health = tonumber(facts.kill_grace_ms or 0), tonumber(facts.health_timeout_ms)
  local exec_end = tonumber(started) and tonumber(started) + tonumber(facts.exec_timeout_ms or 0) + grace
  if exec_end and health then exec_end = exec_end + health + grace end
  local job_end = tonumber(facts.job_deadline) and tonumber(facts.job_deadline) + grace
  if exec_end and job_end then return math.min(exec_end, job_end) end
  return exec_end or job_end
end

-- What a run is told that waits on this host: {job ID, until when or '', how many hold places}. Of several holders, the
-- one whose time is over first. Nil when nobody holds the machine any more.
local function holder_before(index, host)
  local first, first_end, count = nil, nil, 0
  for _, holder in ipairs(redis.call('SRANDMEMBER', places_of(index, host), HOLDERS_LIMIT)) do
    local of_job = string.match(holder, '^(.+):%d+$')
    local run = read(base .. ':run:' .. holder, 'state', 'started')
    if of_job and HELD[run.state] then
      local its_end = ends_by(of_job, run.started)
      if not first or (its_end and (not first_end or its_end < first_end)) then first, first_end = of_job, its_end end
      count = count + 1
    end
  end
  return first and {first, tostring(first_end or ''), tostring(count)}
end

-- Whether a run waits for a place at its machine. `run` has its fields `state` and `waits`.
local function is_waiting_for_host(run) return run.state == 'queued' and run.waits ~= nil end

-- Who holds the machines that some runs of a job wait for. Returns for each index {} or what holder_before gives.
local indexes_from = 3

local answers = {}
for i = indexes_from, #ARGV do
  local run = read(run_key(ARGV[i]), 'state', 'waits', 'host')
  answers[#answers + 1] = is_waiting_for_host(run) and holder_before(ARGV[i], run.host) or {}
end
return answers

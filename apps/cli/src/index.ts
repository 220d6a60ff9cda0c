export { createClient } from './client/client.ts'
export { readEvents } from './client/event-stream.ts'
export { targetsCommand } from './commands/host-commands.ts'
export {
  concurrencyCommand,
  listJobsCommand,
  resumeCommand,
  showCommand,
  waitCommand,
} from './commands/job-commands.ts'
export { outputCommand } from './commands/output-command.ts'
export { rerunCommand } from './commands/rerun-command.ts'
export { RUN_FLAGS, runCommand, SPELLED_OTHERWISE } from './commands/run-command.ts'
export { checkedInput } from './line/checked-input.ts'
export type { Cli } from './line/command.ts'
export { EXIT, exitStatusOf, exitStatusOfProblem, exitStatusOfRun } from './line/exit-status.ts'
export { readCommandLine } from './line/flags.ts'
export { ServerAway } from './line/patience.ts'
export { createProgress } from './line/progress.ts'
export { hostTable } from './render/render-hosts.ts'
export { jobText } from './render/render-job.ts'
export { gatheredText } from './render/render-output.ts'
export { runsText, runText } from './render/render-runs.ts'

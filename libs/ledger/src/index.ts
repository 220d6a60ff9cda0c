export { cancelJob, extendJob } from './cancel-job.ts'
export {
  appendOutput,
  type Claim,
  claimRun,
  type DispatchAnswer,
  dispatchRun,
  fallBackToAttached,
  handOver,
  holdsClaim,
  readSpec,
} from './claim.ts'
export { type Consumer, consumeTickets } from './consume-tickets.ts'
export { finishRun, type RunEnd } from './finish-run.ts'
export { gatherOutput } from './gather-output.ts'
export { type Lease, startHeartbeat } from './heartbeat.ts'
export { type JobWatch, type RunOrders, type StopReason, watchJobs } from './job-watch.ts'
export { type Ledger, openLedger } from './open-ledger.ts'
export { findJob, hostsOfJob, listJobs, reportJob } from './read-job.ts'
export { readOutput } from './read-output.ts'
export { findRun, listRuns } from './read-run.ts'
export {
  acceptedJob,
  jobStateOf,
  type MachineEnd,
  type MachineEvent,
  type MachineJob,
  step,
} from './state-machine.ts'
export { type NewJob, submitJob } from './submit-job.ts'
export { type SweepOptions, startSweep, sweep } from './sweep.ts'
export type { Ticket } from './ticket.ts'
export { type Doorbell, listenToJob, waitForJob } from './wait-for-job.ts'

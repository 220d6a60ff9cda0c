export { type OpenBreaker, openBreakers } from './breakers.ts'
export { cancelJob, extendJob } from './cancel-job.ts'
export { byCause, type Cause, causeOf } from './causes.ts'
export {
  appendOutput,
  type Claim,
  claimRun,
  type DispatchAnswer,
  dispatchRun,
  fallBackToAttached,
  handOver,
  holdsClaim,
  type TriedWith,
} from './claim.ts'
export { startClockwork } from './clockwork.ts'
export { type Consumer, consumeTickets } from './consume-tickets.ts'
export { type DialSlots, openDialSlots } from './dial-slots.ts'
export { durableSecret } from './durable-secret.ts'
export { finishRun, type RunEnd } from './finish-run.ts'
export { gatherOutput } from './gather-output.ts'
export { type Lease, startHeartbeat } from './heartbeat.ts'
export { readSpec } from './job-texts.ts'
export { type JobWatch, type RunOrders, type StopReason, watchJobs } from './job-watch.ts'
export { ledgerNowMs } from './ledger-time.ts'
export { listJobs } from './list-jobs.ts'
export { listRuns } from './list-runs.ts'
export { acceptedJob, jobStateOf, type MachineEnd, type MachineJob } from './machine-job.ts'
export { FULL, isFull, type Ledger, openLedger } from './open-ledger.ts'
export { diffOutputs } from './output-diff.ts'
export type { OutcomeGroup } from './output-groups.ts'
export { maskText } from './output-masks.ts'
export { findJob, hostsOfJob, ownerOfJob, reportJob } from './read-job.ts'
export type { Outcome } from './read-outcomes.ts'
export { readBeginningBytes, readOutput } from './read-output.ts'
export { findRun } from './read-run.ts'
export { readRerun } from './rerun-job.ts'
export { type RunGroups, readRunGroups } from './run-groups.ts'
export { type MachineEvent, step } from './state-machine.ts'
export { resumeJob, setConcurrency } from './steer-job.ts'
export { type NewJob, submitJob } from './submit-job.ts'
export { type SweepOptions, sweep } from './sweep.ts'
export type { Ticket } from './ticket.ts'
export { type Doorbell, listenToJob, type WaitUntil, waitForJob } from './wait-for-job.ts'

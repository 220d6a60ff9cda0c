export { startClockwork } from './clockwork/clockwork.ts'
export { gatherOutput } from './gather/gather-output.ts'
export type { OutcomeGroup } from './gather/output-groups.ts'
export { readRunGroups } from './gather/run-groups.ts'
export { byCause, type Cause, causeOf } from './job/causes.ts'
export { readSpec } from './job/job-texts.ts'
export { readSealed, type SealedSecrets, workDigest } from './job/sealed-secrets.ts'
export { isSignedFor, type NotAsSigned, requireSignedRecord } from './job/signed-record.ts'
export type { CheckWork, SignWork } from './job/signed-work.ts'
export { type OpenBreaker, openBreakers } from './read/breakers.ts'
export { jobsOfKeys, listJobs } from './read/list-jobs.ts'
export { listRuns } from './read/list-runs.ts'
export { findJob, hostsOfJob, ownerOfJob } from './read/read-job.ts'
export type { Outcome } from './read/read-outcomes.ts'
export { readBeginningBytes, readOutput } from './read/read-output.ts'
export { type Rerun, readRerun } from './read/read-rerun.ts'
export { findRun } from './read/read-run.ts'
export { reportJob } from './read/report-job.ts'
export { listenToJob, waitForJob } from './read/wait-for-job.ts'
export { ledgerNowMs } from './redis/ledger-time.ts'
export { ask, type EndKeys, type Ledger, openLedger, type UnverifiedEnd } from './redis/open-ledger.ts'
export { cancelJob, extendJob } from './steps/cancel-job.ts'
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
} from './steps/claim.ts'
export { type CallRefusal, countCall } from './steps/count-call.ts'
export { durableSecret } from './steps/durable-secret.ts'
export { finishRun, type RunEnd } from './steps/finish-run.ts'
export type { JobKeyLimits, NewJob, NewSecrets } from './steps/new-job.ts'
export { SignedJob } from './steps/signed-job.ts'
export { resumeJob, setConcurrency } from './steps/steer-job.ts'
export { submitJob } from './steps/submit-job.ts'
export type { Ticket } from './tickets/ticket.ts'
export { consumeTickets } from './tickets/ticket-queue.ts'
export { startHeartbeat } from './workers/heartbeat.ts'
export { type JobWatch, type LedgerStop, watchJobs } from './workers/job-watch.ts'
export { openJumpTurns } from './workers/jump-turns.ts'

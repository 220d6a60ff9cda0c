export { ERRORS, type ErrorCode, type ErrorDetails, MusterError, Problem, toProblem } from './errors.ts'
export { escapeControl } from './escape-control.ts'
export { Host, HostTest } from './host.ts'
export { EXPANSION_LIMIT, expandRanges, foldHosts, isHostName } from './host-range.ts'
export {
  Concurrency,
  Counts,
  isTerminalJob,
  Job,
  JobId,
  JobSpec,
  JobState,
  Submit,
  TEXT_LIMIT_BYTES,
  WAIT_LIMIT_S,
} from './job.ts'
export { JobEvent } from './job-events.ts'
export {
  type Input,
  JobReport,
  OPERATION_NAMES,
  OPERATIONS,
  type Operation,
  type OperationName,
  type Output,
  type Request,
  type RestRoute,
  type Tool,
} from './operations.ts'
export {
  GatheredOutput,
  HostsByState,
  HostsNoticed,
  OutputGroup,
  OutputPage,
  OutputStream,
  PAGE_LIMIT_BYTES,
} from './output.ts'
export {
  isSafeToRetry,
  isTerminalRun,
  LateResult,
  Reason,
  Remote,
  Run,
  RunMode,
  RunState,
  StreamSummary,
  TerminalRunState,
} from './run.ts'
export { parseTargets, type TargetStep } from './target-expression.ts'

export { ALL_SCOPES, ApiKey, KeyId, KeyOwner, SCOPES, Scope } from './api-key.ts'
export { INPUT_LIMIT_BYTES, WORD_LIMIT_BYTES } from './command-text.ts'
export { ERRORS, type ErrorCode, type ErrorDetails, MusterError, Problem, toProblem } from './errors.ts'
export { blankControl, escapeControl, escapeJson, escapeLine, visibleJson } from './escape-control.ts'
export { foldHosts } from './fold-hosts.ts'
export { Host, HostsUnavailable, HostTest } from './host.ts'
export { EXPANSION_LIMIT, expandRanges, isHostName } from './host-range.ts'
export {
  ConnectionTest,
  DirectoryEntry,
  DirectoryList,
  DiskRow,
  DiskUsage,
  HostsWithProblem,
} from './inspection.ts'
export {
  CONNECT_TIMEOUT_S,
  Counts,
  isTerminalJob,
  Job,
  JobId,
  JobSpec,
  JobState,
  Submit,
  WAIT_LIMIT_S,
} from './job.ts'
export { JobEvent } from './job-events.ts'
export { JobReport } from './job-report.ts'
export type { Operation, RestRoute } from './operation.ts'
export {
  type Input,
  OPERATION_NAMES,
  OPERATIONS,
  type OperationName,
  type Output,
  type Request,
} from './operations.ts'
export {
  GatheredOutput,
  HostsByState,
  HostsNoticed,
  OutputGroup,
  OutputMask,
  OutputPage,
  OutputStream,
  PAGE_LIMIT_BYTES,
} from './output.ts'
export {
  Batch,
  Budget,
  CONCURRENCY_LIMIT,
  Concurrency,
  type CountOrPercent,
  countOf,
  HealthCheck,
  RolloutOptions,
  rolloutOptions,
  UNLESS_FORCED,
} from './rollout.ts'
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
export { scriptMistake } from './script-text.ts'
export { Selection, selectionFields } from './selection.ts'
export { type LabelCondition, parseTargets, type TargetStep, type TargetTerm } from './target-expression.ts'
export { NextCall, type Tool, type ToolHints } from './tool.ts'
export {
  AnswerGroup,
  AnswerOutput,
  HostListAnswer,
  JobAnswer,
  JobListAnswer,
  nextPollS,
  TargetsAnswer,
} from './tool-answers.ts'
export { isToolName, TOOL_NAMES, TOOLS, type ToolName } from './tools.ts'
export { decodeUtf8 } from './utf8.ts'

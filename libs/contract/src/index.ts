export {
  ConnectionTest,
  DirectoryEntry,
  DirectoryList,
  DiskRow,
  DiskUsage,
  HostsWithProblem,
  HostTest,
} from './answers/inspection.ts'
export { NextCall } from './answers/next-call.ts'
export { CommandResult, DirectoryLines, DiskPercents, SshConnectionTest } from './answers/original-answers.ts'
export {
  AnswerGroup,
  AnswerOutput,
  HostListAnswer,
  JobAnswer,
  JobListAnswer,
  nextPollS,
  TargetsAnswer,
} from './answers/tool-answers.ts'
export { ERRORS, type ErrorDetails, MusterError, Problem, toProblem } from './errors/errors.ts'
export { Counts, isTerminalJob, Job, JobId, JobState } from './jobs/job.ts'
export { JobEvent } from './jobs/job-events.ts'
export { JobReport } from './jobs/job-report.ts'
export {
  GatheredOutput,
  HostsByState,
  HostsNoticed,
  OutputGroup,
  OutputMask,
  OutputPage,
  OutputStream,
  PAGE_LIMIT_BYTES,
} from './jobs/output.ts'
export { Reached, type UsedCredential } from './jobs/reached.ts'
export { type ReaderScope, readerOf, shownTo } from './jobs/readers.ts'
export {
  Batch,
  CONCURRENCY_LIMIT,
  Concurrency,
  countOf,
  HEALTH_TIMEOUT_S,
  RolloutOptions,
  rolloutOptions,
  UNLESS_FORCED,
} from './jobs/rollout.ts'
export {
  exitDetail,
  isSafeToRetry,
  isTerminalRun,
  LateResult,
  Reason,
  Remote,
  Run,
  RunMode,
  RunState,
  StreamSummary,
  signalDetail,
  TerminalRunState,
  Voucher,
} from './jobs/run.ts'
export {
  JobSecrets,
  SudoPassword,
  secretNames,
  secretsIn,
  valuesOf,
} from './jobs/secrets.ts'
export { CONNECT_TIMEOUT_LIMIT_S, CONNECT_TIMEOUT_S, JobSpec, Submit, WAIT_LIMIT_S } from './jobs/submit.ts'
export { ALL_SCOPES, ApiKey, KeyId, KeyOwner, READ_ONLY_SCOPES, SCOPES, Scope } from './operations/api-key.ts'
export {
  CommandForm,
  EXPRESSIONS_LIMIT,
  isUnlimited,
  KeyLimits,
  NO_LIMITS,
  NUMERIC_LIMITS,
} from './operations/key-limits.ts'
export { type Operation, PRIVATE_FIELDS, type RestRoute } from './operations/operation.ts'
export {
  type Input,
  OPERATION_NAMES,
  OPERATIONS,
  type OperationName,
  type Output,
  type Request,
} from './operations/operations.ts'
export { VERSION } from './operations/version.ts'
export { Connect } from './targets/connect.ts'
export { ConnectWithSecrets, LoginSecrets, loginSecretsIn, withoutLoginSecrets } from './targets/connect-secrets.ts'
export { foldHosts } from './targets/fold-hosts.ts'
export { Host, HostsUnavailable } from './targets/host.ts'
export { expandRanges, isHostName } from './targets/host-range.ts'
export {
  isOneHost,
  parseRequestHost,
  plainRequestAddress,
  type RequestHost,
  writeRequestHost,
} from './targets/request-host.ts'
export { Selection, selectionFields } from './targets/selection.ts'
export { HOST_KEYS, KEY_EXCHANGES } from './targets/ssh-algorithms.ts'
export { type SshServersEntry, sshServersEntries, withoutPasswords } from './targets/ssh-servers.ts'
export { type LabelCondition, parseTargets, type TargetStep, type TargetTerm } from './targets/target-expression.ts'
export { type AccountTables, isGroupOfOneUser } from './text/account-tables.ts'
export { INPUT_LIMIT_BYTES } from './text/command-text.ts'
export { firstChars, lastChars, shortened } from './text/cut-text.ts'
export { blankControl, escapeControl, escapeJson, escapeLine, visibleJson } from './text/escape-control.ts'
export { type JsonTrouble, troubleInJson } from './text/json-text.ts'
export {
  fingerprintOf,
  hashedName,
  type KnownHosts,
  knownHostsFiles,
  knownHostsName,
  knownHostsNames,
  parseKnownHosts,
  SSH_PORT,
} from './text/known-hosts.ts'
export { type MessageId, type MessageIdSearch, searchMessageId } from './text/message-id.ts'
export { isEncryptedKey, isPrivateKey } from './text/private-key.ts'
export { scriptMistake } from './text/script-text.ts'
export { shellWord } from './text/shell-word.ts'
export { decodeUtf8 } from './text/utf8.ts'
export { ORIGINAL_TOOLS, type OriginalTool, type OriginalToolName } from './tools/original-tools.ts'
export type { Tool } from './tools/tool.ts'
export { BESIDE_ORIGINAL, ToolProfile, toolProfileOf } from './tools/tool-profile.ts'
export { inputOfTool, isToolName, outputOfTool, TOOL_NAMES, TOOLS, type ToolName } from './tools/tools.ts'

export type { Credential } from './authentication.ts'
export {
  type ConnectOptions,
  type ConnectResult,
  connect,
  type Refused,
  type SshConnection,
  type SshHost,
} from './connection.ts'
export { DialQueue } from './dial-queue.ts'
export type { OutputReceiver } from './drain.ts'
export { startClock } from './durable-clock.ts'
export type { Followed } from './durable-end.ts'
export { type FollowOptions, followDurable } from './durable-follow.ts'
export { removeDurable } from './durable-orders.ts'
export { DurableRun, type DurableRunOptions } from './durable-run.ts'
export { splitDurable } from './durable-stream.ts'
export type { DurableLimits } from './durable-supervisor.ts'
export { parseWord } from './durable-words.ts'
export { type ExecEnd, type ExecOptions, exec, type ReadyCommand, readyCommand, sendCommand } from './exec.ts'
export { exitWords, isSignalled, parseExit, parseSignal, parseStatus } from './exit-status.ts'

export { printable } from './failure.ts'
export { findHello, firstLine, type Hello } from './hello.ts'
export { keepFiles } from './kept-files.ts'
export {
  fixedKnownHosts,
  type HostKeyVerdict,
  type KnownHosts,
  type KnownHostsSource,
  knownHostsName,
  loadKnownHosts,
  parseKnownHosts,
} from './known-hosts.ts'
export { type Launch, writeLaunch } from './launcher.ts'
export type { NotGreeted } from './launcher-channel.ts'
export { leaseAndOpen, tryChannel } from './lease-and-open.ts'
export { LookUps } from './look-ups.ts'
export { OutputCap, type StreamEnd, type StreamTail } from './output-cap.ts'
export { openPool, type Pool, type PoolOptions } from './pool.ts'
export type { Lease } from './pooled-connection.ts'
export { execWords, interpreterOf, isSingleProgram, quoteForFish, quoteOnOneLine, quoteWord } from './quote.ts'
export { checkCommand, type RemoteCommand } from './remote-command.ts'
export { findStart, type StartMark } from './start-marks.ts'
export { checkSudoPassword, type Sudo, sudoLine, sudoMarks } from './sudo.ts'
export { SudoDialogue, type SudoStep } from './sudo-dialogue.ts'
export { type TriedKind, triedDigest } from './tried-digest.ts'
export { stateWithoutStart } from './verdict.ts'

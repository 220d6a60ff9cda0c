export { type ExecEnd, type ExecOptions, exec, type ReadyCommand, readyCommand, sendCommand } from './attached/exec.ts'
export type { NotGreeted } from './channel/launcher-channel.ts'
export {
  type ConnectOptions,
  type ConnectResult,
  connect,
  type Refused,
  type SshConnection,
  type SshHost,
} from './connect/connection.ts'
export { keepFiles } from './connect/kept-files.ts'
export {
  fixedKnownHosts,
  type HostKeyVerdict,
  type KnownHosts,
  type KnownHostsSource,
  knownHostsName,
  loadKnownHosts,
  parseKnownHosts,
} from './connect/known-hosts.ts'
export { LookUps } from './connect/look-ups.ts'
export { type TriedKind, triedDigest } from './connect/tried-digest.ts'
export { startClock } from './durable/clock.ts'
export type { Followed } from './durable/end.ts'
export { type FollowOptions, followDurable } from './durable/follow.ts'
export { removeDurable } from './durable/orders.ts'
export { DurableRun, type DurableRunOptions } from './durable/run.ts'
export { splitDurable } from './durable/stream.ts'
export type { DurableLimits } from './durable/supervisor.ts'
export { parseWord } from './durable/words.ts'
export type { Credential } from './login/authentication.ts'
export type { OutputReceiver } from './output/drain.ts'
export { OutputCap, type StreamEnd, type StreamTail } from './output/output-cap.ts'
export { findStart, type StartMark } from './output/start-marks.ts'
export { DialQueue } from './pool/dial-queue.ts'
export { leaseAndOpen, tryChannel } from './pool/lease-and-open.ts'
export { openPool, type Pool, type PoolOptions } from './pool/pool.ts'
export type { Lease } from './pool/pooled-connection.ts'
export { findHello, firstLine, type Hello } from './shell/hello.ts'
export { type Launch, writeLaunch } from './shell/launcher.ts'
export { execWords, interpreterOf, isSingleProgram, quoteForFish, quoteOnOneLine, quoteWord } from './shell/quote.ts'
export { checkCommand, type RemoteCommand } from './shell/remote-command.ts'
export { checkSudoPassword, type Sudo, sudoLine, sudoMarks } from './shell/sudo.ts'
export { SudoDialogue, type SudoStep } from './shell/sudo-dialogue.ts'
export { exitWords, isSignalled, parseExit, parseSignal, parseStatus } from './verdict/exit-status.ts'
export { printable } from './verdict/failure.ts'
export { stateWithoutStart } from './verdict/verdict.ts'

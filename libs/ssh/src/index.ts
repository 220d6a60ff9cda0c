export type { Credential } from './authentication.ts'
export { type ConnectOptions, type ConnectResult, connect, type SshConnection, type SshHost } from './connection.ts'
export type { OutputReceiver } from './drain.ts'
export type { Followed } from './durable-end.ts'
export { type FollowOptions, followDurable } from './durable-follow.ts'
export { removeDurable } from './durable-orders.ts'
export { DurableRun } from './durable-run.ts'
export { betweenMarkers } from './durable-stream.ts'
export type { DurableLimits } from './durable-supervisor.ts'
export { type ExecEnd, type ExecOptions, exec } from './exec.ts'
export {
  fixedKnownHosts,
  type HostKeyVerdict,
  type KnownHosts,
  type KnownHostsSource,
  knownHostsName,
  loadKnownHosts,
  parseKnownHosts,
} from './known-hosts.ts'
export { findMarker, type Launch, launchLine, type RemoteCommand, type Started, writeLaunch } from './launcher.ts'
export { OutputCap, type StreamEnd, type StreamTail } from './output-cap.ts'
export { execWords, interpreterOf, quoteWord } from './quote.ts'
export { checkSudoPassword, type Sudo, sudoLine, sudoMarks } from './sudo.ts'
export { SudoDialogue, type SudoStep } from './sudo-dialogue.ts'
export { stateWithoutStart } from './verdict.ts'

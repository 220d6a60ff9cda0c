export type { Credential } from './authentication.ts'
export { type ConnectOptions, type ConnectResult, connect, type SshConnection, type SshHost } from './connection.ts'
export type { OutputReceiver } from './drain.ts'
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
export { findMarker, type Launch, type RemoteCommand, type Started, writeLaunch } from './launcher.ts'
export { OutputCap, type StreamEnd } from './output-cap.ts'
export { execWords, interpreterOf, quoteWord } from './quote.ts'

/** A host to reach, a connection that is logged in there, and why there is none. Makes no connection (dial.ts). */
import type { Reached } from '@muster/contract'
import type { Client, ClientChannel } from 'ssh2'
import type { Credential } from '../login/credential.ts'
import type { Failure } from '../verdict/failure.ts'
import type { HostIdentity } from './host-verification.ts'

/** A host and everything needed to log in there. */
export type SshHost = HostIdentity & {
  readonly name: string
  readonly user: string
  readonly credentials: readonly Credential[]
  /** Offers the algorithms of old hosts too. Absent: only current ones. */
  readonly algorithms?: 'legacy'
  /** Files of known hosts in place of the user's own. */
  readonly knownHostsFiles?: readonly string[]
  /** The key exchanges to offer, in this order. Absent: the usual ones. */
  readonly keyExchanges?: readonly string[]
  /** Variables to ask the host to set for each channel; it takes those that its AcceptEnv names, and says nothing. */
  readonly env?: Readonly<Record<string, string>>
  /** Why no connection may be made to this address; undefined when one may. Absent: to any that its name has. */
  readonly refusesAddress?: (address: string) => string | undefined
  /**
   * Whether known_hosts must list it before a jump host is asked for it: the name is looked up there, and nobody here
   * can check where it leads.
   */
  readonly mustBeListed?: boolean
  /** Whether its log-in, or that of its jump host, is for one run alone: no other gets the connection. */
  readonly isForOneRun?: boolean
  /** The program that leads to the host. Absent: TCP, or the jump host. */
  readonly proxy?: {
    /** The path of the program. `argv` begins with what it is called, if `file` is where that name leads. */
    readonly file: string
    readonly argv: readonly [string, ...string[]]
    /** The whole environment; nothing is inherited. */
    readonly env: Readonly<Record<string, string | undefined>>
  }
  /** What else to tell where it refuses the log-in, such as what it was not offered. */
  readonly loginNote?: string
  /** The host to go through, with its own credentials; verified under its own name. */
  readonly jump?: SshHost
}

/** A connection that is logged in. */
export type SshConnection = {
  readonly hostName: string
  /** ssh2's own; for this package. */
  readonly client: Client
  /** The key with which the host proved its identity. */
  readonly hostKey: Buffer
  readonly reached: Reached
  /** As of its {@link SshHost}. */
  readonly env?: Readonly<Record<string, string>>
  /** Channels for commands that one of the two sides has not closed yet; kept by channel.ts. */
  readonly channels: Set<ClientChannel>
  /** Those among them whose streams have ended only because the connection did; kept by log-in.ts. */
  readonly cutOff: ReadonlySet<ClientChannel>
  /** What else a person should know: the old algorithms it uses. Absent: nothing. */
  readonly notice?: string
  /** The connection to its jump host; absent without one. */
  readonly hop?: SshConnection
  /** Whether the connection still stands, as far as this side knows. */
  isOpen(): boolean
  /** Ends the connection and the one to its jump host. What runs on the host runs on. May be called twice. */
  close(): void
}

/** A connection, or why there is none. */
export type ConnectResult = { readonly ok: true; readonly connection: SshConnection } | Refused
/** Why there is no connection. */
export type Refused = { readonly ok: false } & Failure & {
    /** The algorithms of its other host keys, where the one that it has shown is not the pinned one. */
    readonly otherHostKeys?: readonly string[]
  }

/** A failure as the result of a dial. */
export function refused(why: Failure): Refused {
  return { ok: false, ...why }
}

/** The failure, with the host it happened at in its `detail`. */
export function atHost(host: SshHost, why: Failure): Failure {
  const note = why.reason === 'auth_failed' && host.loginNote !== undefined ? `; ${host.loginNote}` : ''
  return { ...why, detail: `${host.name} (${where(host)}): ${why.detail}${note}` }
}

/** The user, address and port of a host, for people. */
export function where({ user, address, port }: SshHost): string {
  return `${user}@${address}:${port}`
}

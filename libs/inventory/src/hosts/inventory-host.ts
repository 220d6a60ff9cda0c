/**
 * The words of the inventory: a host, where its credentials are, and what one source of hosts gives.
 *
 * A credential is only ever a reference here. Files and variables are read by `secret.ts`, in the worker, when
 * a connection is made; nothing in this module can hold a password.
 */
import type { Mistake, Place } from './mistakes.ts'

/** Where a secret is. `file` holds an absolute path; `ssh_servers` the name of a host in `SSH_SERVERS`. */
export type SecretRef =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'ssh_servers'; readonly host: string }

/**
 * One way to log in. A key without `passphrase` is not encrypted; an agent without `socket` is the one of the
 * worker's own `SSH_AUTH_SOCK`.
 */
export type CredentialRef =
  | { readonly kind: 'key'; readonly identityFile: string; readonly passphrase?: SecretRef }
  | { readonly kind: 'password'; readonly secret: SecretRef }
  | { readonly kind: 'agent'; readonly socket?: string }

/** A host of the inventory. Frozen, with all that is in it. */
export type InventoryHost = {
  readonly name: string
  /** Other names of the host, in the order of their definition. */
  readonly aliases: readonly string[]
  /** The first host with this address, port and way there, by its name: itself, unless hosts differ in their user only. */
  readonly machine: string
  /** A host name or an IP address, IPv6 without brackets. */
  readonly address: string
  readonly port: number
  readonly user: string
  /** Name of the host of this inventory to go through. Absent when the host is reached directly. */
  readonly jump?: string
  /** The name to look up in known_hosts in place of the address. Absent when that is the address. */
  readonly hostKeyAlias?: string
  /** Also the algorithms that hosts of before 2016 need. Absent: those of today only. */
  readonly algorithms?: 'legacy'
  readonly labels: Readonly<Record<string, string>>
  /** Tried in this order. Empty when nothing was configured and nothing usual exists. */
  readonly credentials: readonly CredentialRef[]
  /** The password of `user` for sudo. Absent: sudo must not ask for one there. */
  readonly sudoPassword?: SecretRef
  /** Why no job runs there. Absent: jobs do. */
  readonly disabled?: string
  /** The groups that hold the host, in the order of the file. */
  readonly groups: readonly string[]
}

/** A name and where it is given. */
export type NameDraft = { readonly name: string; readonly place: Place }

/** A host as one source gives it: whether its jump host exists is not known yet, nor which groups hold it. */
export type HostDraft = Omit<InventoryHost, 'groups' | 'machine' | 'aliases'> &
  NameDraft & {
    readonly aliases: readonly NameDraft[]
    /** Whether its entry has a mistake, or is not followed in all, so that it may not be what it seems. */
    readonly isFaulty?: boolean
  }

/** A group as the file gives it: a target expression. */
export type GroupDraft = { readonly name: string; readonly expression: string; readonly place: Place }

/** What one source of hosts gives. */
export type SourceContent = {
  readonly hosts: readonly HostDraft[]
  readonly groups: readonly GroupDraft[]
  readonly mistakes: readonly Mistake[]
  /** What was left out or is unwise, one sentence each. */
  readonly warnings: readonly string[]
  /** Whether a host that cannot be used is left out with a warning, in place of failing the whole inventory. */
  readonly isOptional: boolean
}

/** What every source needs to complete a host. */
export type HostDefaults = {
  /** The home directory that `~` stands for. */
  readonly home: string
  /** The user to log in as where none is given. */
  readonly user: string
  /** The socket of the SSH agent. Absent when this process knows of none. */
  readonly agentSocket?: string
  /** The credentials of a host that names none. */
  readonly credentials: readonly CredentialRef[]
}

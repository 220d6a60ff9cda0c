/**
 * The words of the inventory: a host, where its credentials are, and the content of one source.
 *
 * A credential is always a reference here. `secrets/` reads files and variables, in the worker, when a connection is
 * made; nothing in this module can hold a password.
 */
import type { HostMatcher } from './host-matcher.ts'
import type { Mistake, Position } from './mistakes.ts'
import type { Way } from './way.ts'

/** Where a secret is kept. `file` holds an absolute path; `ssh_servers` the name of a host in `SSH_SERVERS`. */
export type KeptSecretRef =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'ssh_servers'; readonly host: string }

/** What a credential command can give. */
export type GivenKind = 'password' | 'sudo_password' | 'passphrase' | 'key'

/** A secret that a program of the operator's gives when it is needed. */
export type GivenSecretRef = {
  readonly kind: 'command'
  /** What the program is asked for: a secret, or a certificate for the key of a run. */
  readonly gives: GivenKind | 'certificate'
  /** The absolute path of the program, and its arguments. */
  readonly argv: readonly [string, ...string[]]
  /** How long the answer may be used again; 0: not at all. */
  readonly ttlS: number
}

/** The private key of an authority that certifies the keys of runs. */
export type AuthorityRef = {
  readonly kind: 'authority'
  readonly identityFile: string
  readonly passphrase?: SecretRef
}

/** Where a secret is, or who gives it. */
export type SecretRef = KeptSecretRef | GivenSecretRef

/**
 * One way to log in. A key without `passphrase` is not encrypted; an agent without `socket` is the one of the
 * worker's own `SSH_AUTH_SOCK`.
 */
export type CredentialRef =
  | {
      readonly kind: 'key'
      readonly identityFile: string
      readonly passphrase?: SecretRef
      /** Its certificate. Absent: the file `…-cert.pub` beside it, if there is one. */
      readonly certificateFile?: string
      /** Set where OpenSSH would take the key by itself: a usual one, or one of an SSH config. It may lie anywhere. */
      readonly isOfOpenSsh?: true
      /** The socket of the agent that may hold it; empty: none is asked. Absent: that of the worker. */
      readonly agent?: string
      /** Set where a request names the file: it must lie in the directories that are there for that. */
      readonly isOfRequest?: true
    }
  /** A key that is made for each run, and certified by a program or by the key of an authority. */
  | { readonly kind: 'run_certificate'; readonly by: GivenSecretRef | AuthorityRef }
  /** A private key that is no file. */
  | { readonly kind: 'given_key'; readonly secret: GivenSecretRef; readonly passphrase?: SecretRef }
  | { readonly kind: 'password'; readonly secret: SecretRef }
  | { readonly kind: 'agent'; readonly socket?: string }

/** An option of an SSH config that applies to a host and is not followed: where it stands, and why it is not. */
export type NotTaken = {
  readonly option: string
  readonly file: string
  readonly line: number
  readonly why: string
}

/** A host of the inventory, deeply frozen. */
export type InventoryHost = Way & {
  readonly name: string
  /** Other names of the host, in the order of their definition. */
  readonly aliases: readonly string[]
  /** The name of the first host with this address, port and jump hosts: this one, unless hosts differ only in user. */
  readonly machine: string
  readonly user: string
  /**
   * The name of the jump host, a host of this inventory; with `hops`, how its config writes them. Absent when the host
   * is reached directly.
   */
  readonly jump?: string
  /** The hosts to go through, in order, where they are more than one of the inventory by its name. */
  readonly hops?: readonly Hop[]
  /** How long to wait for the host where a job does not say. */
  readonly connectTimeoutMs?: number
  /** Variables to ask the host to set. */
  readonly env?: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  /** Tried in this order. Empty when nothing was configured and none of the usual ones exists. */
  readonly credentials: readonly CredentialRef[]
  /** The password of `user` for sudo. Absent: sudo must not ask for one. */
  readonly sudoPassword?: SecretRef
  /** Why no job runs on this host. Absent: jobs run. */
  readonly disabled?: string
  /** Options of the SSH config for this host that are not followed. Absent: it is not from one, or all are. */
  readonly notTaken?: readonly NotTaken[]
  /** The groups that hold the host, in the order of the file. */
  readonly groups: readonly string[]
  /**
   * Set for a host that a request names itself: `name` is its `user@address`, and it has no credentials, as those of
   * the inventory belong to the users of the inventory.
   */
  readonly isOfRequest?: true
  /** The jump host where the request names it. Absent: `jump` is a host of the inventory, if there is one. */
  readonly jumpHost?: InventoryHost
}

/** A host that is only gone through: no command runs there. */
export type Hop = Way & Pick<InventoryHost, 'name' | 'user' | 'credentials'>

/** A name and where it is given. */
export type NameDraft = { readonly name: string; readonly position: Position }

/** A host as one source defines it: its jump host may not exist, and its groups are not known yet. */
export type HostDraft = Omit<InventoryHost, 'groups' | 'machine' | 'aliases' | 'hops' | 'isOfRequest' | 'jumpHost'> &
  NameDraft & {
    readonly hops?: readonly HopDraft[]
    /** What is wrong with these. */
    readonly wayFault?: string
    readonly aliases: readonly NameDraft[]
    /** Set when its entry has a mistake, or options that are not followed: the host may not be what it seems. */
    readonly isFaulty?: boolean
  }

/** A host to go through, as ssh would reach it. `isBare`: by its name alone, so it may be one of the inventory. */
export type HopDraft = { readonly host: HostDraft; readonly isBare: boolean }

/** Something to log in with at hosts that requests name, or a password for sudo, and where it may be offered. */
export type NamedCredential = {
  readonly name: string
  /** Networks such as `10.0.0.0/8`, and patterns of host names. */
  readonly hosts: HostMatcher
  /** The users it is for. Absent: all. */
  readonly users?: readonly string[]
  readonly credentials: readonly CredentialRef[]
  /** The password of these users for sudo. Absent: sudo must not ask for one. */
  readonly sudoPassword?: SecretRef
}

/** A group as the file defines it, by a target expression. */
export type GroupDraft = { readonly name: string; readonly expression: string; readonly position: Position }

/** The content of one source of hosts. */
export type SourceContent = {
  readonly hosts: readonly HostDraft[]
  readonly groups: readonly GroupDraft[]
  /** Absent: none. */
  readonly credentials?: readonly NamedCredential[]
  readonly mistakes: readonly Mistake[]
  /** What was left out or is unwise, in one sentence each. */
  readonly warnings: readonly string[]
  /** Whether a host that cannot be used is left out with a warning, instead of failing the whole inventory. */
  readonly isOptional: boolean
}

/** The defaults that every source needs to complete a host. */
export type HostDefaults = {
  /** The home directory that `~` stands for. */
  readonly home: string
  /** The user to log in as unless one is given. Absent when this process runs as a user without a name. */
  readonly user?: string
  /** The socket of the SSH agent. Absent when there is none. */
  readonly agentSocket?: string
  /** The absolute paths of the programs that a ProxyCommand may run. Absent: none. */
  readonly proxyPrograms?: readonly string[]
  /** The credentials of a host that names none. */
  readonly credentials: readonly CredentialRef[]
}

/** One attempt of a log-in, as authentication.ts plans and settles it. */
import type { UsedCredential } from '@muster/contract'
import type { AnyAuthMethod, AuthenticationType } from 'ssh2'

/** One attempt to log in. */
export type Attempt = {
  readonly method: AnyAuthMethod
  /** What the host has, if it accepts the attempt. */
  readonly used: () => UsedCredential
  /** What a refusal means, where it means more than that the credential is not accepted. */
  readonly refusal?: () => { readonly outcome: string; readonly isRefused: boolean }
  /** What to say if the attempt could not be made for this reason. */
  readonly told?: (why: string) => string
}

/** A step of a log-in: an attempt that is made when its turn comes, or why it cannot be. */
export type Step = {
  readonly label: string
  /** The name of the method in the protocol: the agent's is publickey too. */
  readonly method: AuthenticationType
  readonly make: () => Attempt | { readonly problem: string }
}

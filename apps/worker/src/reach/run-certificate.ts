/**
 * A key for one run, and its certificate: for the user of the host, until the run must be over, with the run in its key
 * ID. The log of the host then says which run it was.
 */
import { MusterError } from '@muster/contract'
import type { AuthorityRef, GivenSecretRef, KeyContent, KeyRef, SecretRef } from '@muster/inventory'
import { type Certificate, type Credential, certifiedBy, certify, makeRunKey } from '@muster/ssh'
import type { HeldRun } from '../hold/held-runs.ts'
import type { RunSpec } from '../hold/run-specs.ts'
import type { AskedCertificate, AskedHost } from './credential-command.ts'

/** Clocks of hosts go wrong by this much. */
const CLOCK_MS = 60_000

/** What the certificate says of the run. */
export type RunToCertify = {
  /** JOB/INDEX. */
  readonly keyId: string
  /** The attempt. */
  readonly serial: bigint
  readonly validBeforeMs: number
}

/** What a certificate says of this run. Its time is over when the run must be, whatever its limits are raised to. */
export function runToCertify({ claim }: HeldRun, { limits, connectTimeoutMs, healthCheck }: RunSpec): RunToCertify {
  const { jobId, index, attempt, jobLeftMs = Number.POSITIVE_INFINITY } = claim
  const runMs = connectTimeoutMs + limits.execTimeoutMs + limits.killGraceMs + (healthCheck?.timeoutMs ?? 0)
  const validBeforeMs = Date.now() + Math.min(jobLeftMs, runMs) + CLOCK_MS
  return { keyId: `${jobId}/${index}`, serial: BigInt(attempt), validBeforeMs }
}

/** How the parts are read. */
type Readers = {
  readonly read: (ref: SecretRef, certificate?: AskedCertificate) => Promise<string>
  readonly readKept: (ref: KeyRef) => Promise<KeyContent>
}

/**
 * The key of the run with its certificate.
 * @throws {MusterError} invalid_config: nobody certifies it, or what came is no certificate for it
 */
export async function certifyRun(
  by: GivenSecretRef | AuthorityRef,
  run: RunToCertify,
  host: AskedHost & { readonly isJump: boolean },
  { read, readKept }: Readers,
): Promise<Credential> {
  const made = makeRunKey()
  const { keyId, serial, validBeforeMs } = run
  if (by.kind === 'command') {
    const valid_until = new Date(validBeforeMs).toISOString()
    const asked = { public_key: made.publicLine, key_id: keyId, principals: [host.user], valid_until }
    return {
      kind: 'run_key',
      key: made.key,
      certificate: orThrow(certifiedBy(await read(by, asked), made), by.argv[0]),
    }
  }
  const { identityFile: source, passphrase } = by
  const { pem } = await readKept({ kind: 'key', identityFile: source })
  const authority = { pem, source, ...(passphrase && { passphrase: await read(passphrase) }) }
  const validAfterMs = Date.now() - CLOCK_MS
  const terms = { keyId, serial, user: host.user, validAfterMs, validBeforeMs, mayForward: host.isJump }
  return { kind: 'run_key', key: made.key, certificate: orThrow(certify(made, authority, terms), source) }
}

function orThrow(certificate: Certificate | { readonly problem: string }, from: string): Certificate {
  if (!('problem' in certificate)) return certificate
  throw new MusterError('invalid_config', `the certificate of the run, from ${from}: ${certificate.problem}`)
}

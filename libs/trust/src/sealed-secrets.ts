/**
 * Seals the secrets of a job for its workers, and opens them: one JWE for a job (RFC 7516), ECDH-ES over X25519 with
 * A256GCM. Its header says what it is for: the job, its ordered hosts and what runs there. The header is authenticated,
 * so a sealed text that was copied to another job, or whose hosts were exchanged, does not open.
 *
 * Sealing proves nothing about who did it: whoever has the public key can.
 */
import { createHash } from 'node:crypto'
import { JobSecrets } from '@muster/contract'
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader, errors, importJWK } from 'jose'
import { z } from 'zod'
import { readPublicKeys } from './key-files.ts'
import { WORKER_KEYS, type WorkerKey } from './key-sets.ts'

const ALGORITHM = 'ECDH-ES'
const ENCRYPTION = 'A256GCM'
const KIND = 'muster-secrets+jwe'

/** What sealed secrets are for. */
export type SealFor = {
  readonly jobId: string
  /** The frozen set, in order. */
  readonly hosts: readonly string[]
  /** A digest of what runs. */
  readonly work: string
}

/** Seals secrets. */
export type Sealer = {
  /**
   * The sealed text.
   * @throws {MusterError} invalid_config when the key file cannot be used
   */
  seal(secrets: JobSecrets, what: SealFor): Promise<string>
}

const Header = z.object({
  typ: z.literal(KIND),
  kid: z.string(),
  job: z.string(),
  hosts: z.string(),
  work: z.string(),
})

/** The secrets; or why they cannot be opened, in words that hold nothing of them. */
export type Opened = { readonly secrets: JobSecrets } | { readonly unreadable: string }

/**
 * Makes a sealer over the file of public keys, which it reads each time.
 * @throws {MusterError} invalid_config when it cannot be used now
 */
export async function openSealer(publicKeyFile: string): Promise<Sealer> {
  const read = async () => (await readPublicKeys(WORKER_KEYS, publicKeyFile)).filter(({ kty }) => kty === 'OKP')
  await read()
  return {
    seal: async (secrets, what) => {
      const [newest] = await read()
      const key = await importJWK({ ...newest }, ALGORITHM)
      const text = new TextEncoder().encode(JSON.stringify(JobSecrets.parse(secrets)))
      const header = { alg: ALGORITHM, enc: ENCRYPTION, typ: KIND, kid: newest?.kid ?? '', ...purposeOf(what) }
      const sealed = await new CompactEncrypt(text).setProtectedHeader(header).encrypt(key)
      text.fill(0)
      return sealed
    },
  }
}

/** Opens sealed secrets, if they are for this. */
export async function openSecrets(keys: readonly WorkerKey[], sealed: string, what: SealFor): Promise<Opened> {
  const header = headerOf(sealed)
  if (header === undefined) return { unreadable: 'the sealed secrets are damaged' }
  const purpose = purposeOf(what)
  if (header.job !== purpose.job)
    return { unreadable: `the sealed secrets are those of job ${header.job.slice(0, 40)}` }
  if (header.hosts !== purpose.hosts) return { unreadable: 'the secrets were sealed for other hosts' }
  if (header.work !== purpose.work) return { unreadable: 'the secrets were sealed for another command' }
  const sealing = keys.filter(({ kty }) => kty === 'OKP')
  const key = sealing.find(({ kid }) => kid === header.kid)
  if (key === undefined) {
    const held = sealing.map(({ kid }) => kid).join(', ')
    const sealedWith = header.kid.slice(0, 100)
    return { unreadable: `the secrets were sealed with the key ${sealedWith}, and this worker has ${held}` }
  }
  return await decrypted(key, sealed)
}

async function decrypted(key: WorkerKey, sealed: string): Promise<Opened> {
  let text: Uint8Array | undefined
  try {
    const options = { keyManagementAlgorithms: [ALGORITHM], contentEncryptionAlgorithms: [ENCRYPTION] }
    text = (await compactDecrypt(sealed, await importJWK(key, ALGORITHM), options)).plaintext
    const secrets = JobSecrets.safeParse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text)))
    // A later version may know more secrets. A command must not run without one of them.
    return secrets.success
      ? { secrets: secrets.data }
      : { unreadable: 'the secrets are not as this version knows them' }
  } catch (error) {
    if (!(error instanceof errors.JOSEError || error instanceof TypeError || error instanceof SyntaxError)) throw error
    return { unreadable: 'the sealed secrets are damaged' }
  } finally {
    text?.fill(0)
  }
}

function headerOf(sealed: string): z.infer<typeof Header> | undefined {
  try {
    return Header.safeParse(decodeProtectedHeader(sealed)).data
  } catch {
    // No JWE at all.
    return undefined
  }
}

function purposeOf({ jobId, hosts, work }: SealFor): { job: string; hosts: string; work: string } {
  return { job: jobId, hosts: createHash('sha256').update(JSON.stringify(hosts)).digest('base64url'), work }
}

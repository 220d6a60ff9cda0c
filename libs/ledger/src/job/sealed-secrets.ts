/**
 * The sealed secrets of a job: what they are sealed for, and reading them. libs/trust seals and opens them; Redis holds
 * nothing that could.
 */
import { createHash } from 'node:crypto'
import type { JobSpec } from '@muster/contract'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { readText } from './job-texts.ts'

/** Sealed secrets, and what they were sealed for: the job itself, or the one that it runs again. */
export type SealedSecrets = {
  readonly text: string
  readonly jobId: string
  /** The frozen set of that job, in order. */
  readonly hosts: readonly string[]
}

/**
 * A digest of what a job runs, and as whom. Secrets are sealed for it, so that nobody who can write to Redis has them
 * handed to a command of their own.
 */
export function workDigest(spec: JobSpec): string {
  const { command, argv, script, script_args, stdin, cwd, env, sudo, run_as, health_check, connect } = spec
  // The way to the hosts too: nobody may lead it through a host of theirs.
  const work = [command, argv, script, script_args, stdin, cwd, env, sudo, run_as, health_check?.command, connect]
  return createHash('sha256').update(JSON.stringify(work)).digest('base64url')
}

/**
 * The sealed secrets of a job. Undefined when Redis has none for it.
 * @throws {MusterError} job_damaged when a part is missing; ledger_unavailable
 */
export async function readSealed(ledger: Ledger, jobId: string): Promise<SealedSecrets | undefined> {
  const { redis, keys } = ledger
  const own = await ask(redis, () => redis.hget(keys.job(jobId), 'secrets_of'), jobId)
  const sealedFor = own ?? jobId
  const length = Number(await ask(redis, () => redis.hget(keys.job(sealedFor), 'secrets_bytes'), jobId))
  if (length === 0) return undefined
  const text = await readText(ledger, sealedFor, { name: 'secrets', length })
  const hosts = await ask(redis, () => redis.lrange(keys.hosts(sealedFor), 0, -1), jobId)
  return { text, jobId: sealedFor, hosts }
}

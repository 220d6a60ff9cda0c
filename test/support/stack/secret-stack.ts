/** A Muster for tests about secrets of jobs, and what there is to look at when they are searched for. */
import { readdir, readFile } from 'node:fs/promises'
import { OPERATIONS } from '@muster/contract'
import { Redis } from 'ioredis'
import { inject, onTestFinished } from 'vitest'
import { type Stack, startStack } from './stack.ts'

/** Starts one with the hosts h1 to h3, which are the test daemon, for this account. */
export async function startForSecrets(
  options: Partial<Parameters<typeof startStack>[0]> = {},
  account = inject('sshd').user,
): Promise<Stack> {
  const { port, keys, knownHosts } = inject('sshd')
  const inventory = [
    `defaults: { user: ${account}, port: ${port}, identity_file: ${keys.ed25519} }`,
    'hosts:',
    '  "h[1-3]": { address: "127.0.1.[1-3]" }',
    '',
  ].join('\n')
  return await startStack({ inventory, knownHosts, ...options })
}

/** The output of a job, folded. */
export async function groupsOf(stack: Stack, jobId: string) {
  const answer = await stack.ask('GET', `/v1/jobs/${jobId}/output`)
  return OPERATIONS.gather_output.output.parse(answer.body).groups
}

/** The run of a job on a host. */
export async function runOf(stack: Stack, jobId: string, host = 'h1') {
  return OPERATIONS.get_run.output.parse((await stack.ask('GET', `/v1/jobs/${jobId}/runs/${host}`)).body)
}

/** The Redis of a stack, and the names of its keys. */
export function redisOf(stack: Stack): { redis: Redis; key: (rest: string) => string } {
  const redis = new Redis(stack.env.REDIS_URL ?? '')
  onTestFinished(() => redis.disconnect())
  return { redis, key: (rest) => `{${stack.env.MUSTER_PREFIX}}:${rest}` }
}

/** Everything that a Redis holds under these names. A compressed dump would hide what is looked for. */
export async function allOfRedis(redis: Redis, names = '*'): Promise<string> {
  await redis.config('SET', 'rdbcompression', 'no')
  const found = await redis.keys(names)
  const dumps = await Promise.all(found.map((name) => redis.dumpBuffer(name)))
  return [...found, ...dumps.map((dump) => dump?.toString('latin1') ?? '')].join('\n')
}

/** A process of this machine, of which the "hosts" are a part. */
export type Seen = { readonly name: string; readonly line: string; readonly environment: string }

/** All of them, by their names, command lines and environments. */
export async function allProcesses(): Promise<Seen[]> {
  const ids = (await readdir('/proc')).filter((id) => /^\d+$/.test(id))
  const read = (id: string, what: string) => readFile(`/proc/${id}/${what}`, 'latin1').catch(() => '')
  return await Promise.all(
    ids.map(async (id) => ({
      name: (await read(id, 'comm')).trim(),
      line: await read(id, 'cmdline'),
      environment: await read(id, 'environ'),
    })),
  )
}

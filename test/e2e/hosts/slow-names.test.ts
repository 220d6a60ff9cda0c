/** Names whose resolver is silent: nobody's fault, and nobody else waits for them. Real getaddrinfo, root only. */
import { OPERATIONS, type Run } from '@muster/contract'
import { expect, inject, test, vi } from 'vitest'
import { HAS_OWN_FILES, withSilentResolver } from '../../support/ssh/system-files.ts'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'

/**
 * Hosts that are well, by address and by a name of /etc/hosts, beside silent names: their own, and that of a jump host.
 */
async function startBesideSilentNames(silent: number) {
  const { by, questions } = await withSilentResolver('127.0.1.2 listed.muster.test')
  const { inventory, knownHosts } = fleetFiles(1)
  const { port, hostKeys } = inject('sshd')
  const last = String(silent).padStart(3, '0')
  const hosts = [
    `  "silent[001-${last}]": { address: "silent[001-${last}].muster.test" }`,
    '  gate: { address: gate.muster.test }',
    '  behind: { address: 127.0.1.3, jump: gate }',
    '  listed: { address: listed.muster.test }',
    'groups:',
  ]
  const stack = await startStack({
    inventory: inventory.replace('groups:', hosts.join('\n')),
    knownHosts: `${knownHosts}[listed.muster.test]:${port} ssh-ed25519 ${hostKeys['ssh-ed25519']}\n`,
    workerBy: by,
  })
  return { stack, questions }
}

async function runsOf(stack: Stack, jobId: string): Promise<Run[]> {
  const answer = await stack.ask('GET', `/v1/jobs/${jobId}/runs?limit=1000`)
  return OPERATIONS.list_runs.output.parse(answer.body).runs
}

const isSilent = ({ host }: Run) => host.startsWith('silent')
const lastEnd = (runs: readonly Run[]) => Math.max(...runs.map(({ ended_at }) => Date.parse(ended_at ?? '')))

test.skipIf(!HAS_OWN_FILES)(
  'names whose resolver is silent are told as such, keep no host waiting, and count against none',
  async () => {
    const { stack, questions } = await startBesideSilentNames(24)
    const { job_id } = await stack.submit({ targets: '@*', command: 'true', retries: 0 })
    await stack.ended(job_id)
    const runs = await runsOf(stack, job_id)
    expect(questions()).toBeGreaterThan(24)
    const by = Object.fromEntries(runs.map((run) => [run.host, run]))
    expect([by.web01?.state, by.listed?.state], by.listed?.detail ?? '').toEqual(['succeeded', 'succeeded'])
    const silent = runs.filter(isSilent)
    for (const run of silent) {
      expect(run).toMatchObject({ state: 'unreachable', reason: 'dns_timeout', safe_to_retry: true })
      expect(run.detail).toContain('no answer in time, while waiting for the look-up of its address')
    }
    expect(by.behind).toMatchObject({ reason: 'jump_failed' })
    expect(by.behind?.detail).toMatch(/^jump host gate: dns_timeout: .* the look-up of its address/)
    // A limit of its own: the hosts that are well were done before the first of the others was given up.
    const firstGivenUp = Math.min(...silent.map(({ ended_at }) => Date.parse(ended_at ?? '')))
    expect(lastEnd([by.web01, by.listed].filter((run) => run !== undefined))).toBeLessThan(firstGivenUp)

    // Ten more failures on each, with a time of ours: its breaker stays closed.
    const again = { targets: 'silent001,silent002,gate', command: 'true', retries: 9, retry_backoff_s: 0 }
    const tried = await stack.submit({ ...again, connect_timeout_s: 0.3 })
    await stack.ended(tried.job_id)
    for (const run of await runsOf(stack, tried.job_id)) {
      expect(run).toMatchObject({ state: 'unreachable', reason: 'dns_timeout', attempt: 10 })
      expect(run.detail).toContain('(limit 0.3 s)')
    }
  },
  90_000,
)

test.skipIf(!HAS_OWN_FILES)(
  'more silent names than are looked up at once do not keep a name waiting that can be looked up',
  async () => {
    const { stack } = await startBesideSilentNames(400)
    const { job_id } = await stack.submit({ targets: '@*', command: 'true', retries: 0, concurrency: 400 })
    // The first were given up, and hang on all the same; as many again have come after them.
    const unreached = async () => OPERATIONS.get_job.output.parse((await stack.ask('GET', `/v1/jobs/${job_id}`)).body)
    await vi.waitFor(async () => expect((await unreached()).counts.unreachable).toBeGreaterThan(200), 30_000)
    const late = await stack.submit({ targets: 'listed', command: 'true', retries: 0 })
    expect(await stack.ended(late.job_id)).toMatchObject({ state: 'succeeded' })
    expect(await stack.ended(job_id)).toMatchObject({ counts: { succeeded: 2, unreachable: 402 } })
  },
  90_000,
)

/**
 * Scripts, end to end: a script is not its own stdin, gets its arguments, and may be large, in every mode and for every
 * interpreter.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OPERATIONS, type Request } from '@muster/contract'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { muster, musterFed } from '../../support/cli/muster-process.ts'
import { ownRedis } from '../../support/runtime/own-redis.ts'
import { findProgram } from '../../support/runtime/programs.ts'
import { CAN_MAKE_SUDOERS, makeSudoer, type Sudoer } from '../../support/ssh/sudoer.ts'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'

const LIMIT_BYTES = 16 * 1024 * 1024
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

let sudoer: Sudoer | undefined
beforeAll(async () => {
  if (CAN_MAKE_SUDOERS) sudoer = await makeSudoer((user) => `${user} ALL=(ALL:ALL) NOPASSWD: ALL`)
})
afterAll(() => sudoer?.close())

/** One host, whose account may use sudo where that can be had. */
async function startOne(): Promise<Stack> {
  const { inventory, knownHosts } = fleetFiles(1)
  const user = sudoer?.user
  return startStack({
    knownHosts,
    inventory: user === undefined ? inventory : inventory.replace(/user: \w+/, `user: ${user}`),
  })
}

/** What became of the job on its one host. */
async function outcomeOf(stack: Stack, request: Omit<Request<'submit_job'>, 'targets'>) {
  const job = await stack.submit({ targets: 'web01', ...request })
  const ended = await stack.ended(job.job_id)
  const { groups } = OPERATIONS.gather_output.output.parse((await stack.ask('GET', job.links.output)).body)
  return groups[0] ?? ended.problems?.[0]
}

/** Prints its arguments, then its stdin, in each language. */
const INTERPRETERS: ReadonlyArray<readonly [name: string, program: string, script: string]> = [
  ['sh, without a "#!" line', 'sh', `printf '[%s]' "$@"\ncat\n`],
  ['sh', 'sh', `#!/bin/sh\nprintf '[%s]' "$@"\ncat\n`],
  ['sh with an option', 'sh', `#!/bin/sh -eu\nprintf '[%s]' "$@"\ncat\n`],
  ['bash', 'bash', `#!/bin/bash\nset -u\nprintf '[%s]' "$@"\ncat -- "$0" "\${BASH_SOURCE[0]}" >/dev/null && cat\n`],
  ['bash by env', 'bash', `#!/usr/bin/env bash\nprintf '[%s]' "\${@}"\ncat\n`],
  [
    'python3',
    'python3',
    '#!/usr/bin/env python3\nimport sys\nsys.stdout.write("".join(f"[{a}]" for a in sys.argv[1:]) + ' +
      'sys.stdin.read())\n',
  ],
  ['perl', 'perl', '#!/usr/bin/perl -w\nprint map("[$_]", @ARGV);\n@ARGV = ();\nprint while <>;\n'],
  [
    'awk',
    'awk',
    '#!/usr/bin/awk -f\nBEGIN { for (i = 1; i < ARGC; i++) { printf "[%s]", ARGV[i]; ARGV[i] = "" } }\n{ print }\n',
  ],
]

describe.each([
  ['attached', {}, true],
  ['durable', { durable: true }, true],
  ['under sudo', { sudo: true }, CAN_MAKE_SUDOERS],
  ['durable and under sudo', { sudo: true, durable: true }, CAN_MAKE_SUDOERS],
] as const)('a script, %s,', (_mode, options, isPossible) => {
  test.skipIf(!isPossible)('a script that reads its stdin does not read itself', async () => {
    const stack = await startOne()
    const script = '#!/bin/bash\necho before\ncat >/dev/null\necho after\nfalse\n'
    const whole = { state: 'failed', exit_code: 1, stdout: 'before\nafter\n' }
    expect(await outcomeOf(stack, { script, ...options })).toMatchObject(whole)
    expect(await outcomeOf(stack, { script, stdin: 'echo not this\n', ...options })).toMatchObject(whole)
  })

  for (const [name, program, script] of INTERPRETERS) {
    const isThere = isPossible && findProgram(program) !== undefined
    test.skipIf(!isThere)(`for ${name} gets its arguments and its stdin`, async () => {
      const stack = await startOne()
      const script_args = ['a b', '--dry-run', '', `it's "$HOME"`, '*']
      const stdout = `${script_args.map((word) => `[${word}]`).join('')}one\ntwo\n`
      const outcome = await outcomeOf(stack, { script, script_args, stdin: 'one\ntwo\n', ...options })
      expect(outcome).toMatchObject({ state: 'succeeded', stdout, stderr: '' })
    })
  }

  test.skipIf(!isPossible)(
    'of 16 MiB is given 16 MiB, each to the last byte',
    async () => {
      const stack = await startOne()
      const script = '#!/bin/sh\nsha256sum <"$0"; sha256sum; exit 7\n'
        .padEnd(LIMIT_BYTES - 1, '# filling\n')
        .concat('\n')
      const stdin = 'line\0é\n'.repeat(LIMIT_BYTES / 8)
      expect(await outcomeOf(stack, { script, stdin, ...options })).toMatchObject({
        exit_code: 7,
        stdout: `${sha256(script)}  -\n${sha256(stdin)}  -\n`,
      })
    },
    120_000,
  )
})

test('muster run gives a script the words behind --, and a rerun gives them again', async () => {
  const stack = await startStack({ ...fleetFiles(2), env: {} })
  const dir = await mkdtemp(join(tmpdir(), 'muster-scripts-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const file = join(dir, 'deploy.sh')
  await writeFile(file, '#!/bin/sh\n[ "$1" = --dry-run ] || echo REAL CHANGE\ncat\necho "$#: $*"\nexit 3\n')
  const env = { ...stack.env, MUSTER_URL: stack.url, MUSTER_API_KEY: stack.apiKey }
  const ran = await musterFed(env, 'piped\n', 'run', '@web', '--script', file, '--stdin', '-', '--', '--dry-run', 'a b')
  expect([ran.status, ran.out.toString()]).toEqual([1, expect.stringContaining('│ piped\n│ 2: --dry-run a b\n')])
  const [jobId = ''] = /job_\w+/.exec(ran.said) ?? []
  const shown = await muster(env, 'show', jobId)
  expect(shown.out.toString()).toContain("\narguments  --dry-run 'a b'\n")
  const again = await muster(env, 'rerun', jobId, '--states', 'failed')
  expect(again.out.toString()).toContain('│ piped\n│ 2: --dry-run a b\n')
  expect(`${ran.out}${again.out}`).not.toContain('REAL CHANGE')
})

test('a large script is read from Redis once, for all runs of a worker, and never to tell how they stand', async () => {
  const redis = await ownRedis()
  const stack = await startStack({ ...fleetFiles(20), redisUrl: redis.url })
  const client = new Redis(redis.url)
  onTestFinished(() => client.disconnect())
  const script = `cat\n${'# filling\n'.repeat(400_000)}`
  const job = await stack.submit({ targets: '@web', script, stdin: 'x'.repeat(100_000), concurrency: 5 })
  expect(await stack.ended(job.job_id)).toMatchObject({ state: 'succeeded', counts: { succeeded: 20 } })
  const [, sentBytes] = /total_net_output_bytes:(\d+)/.exec(await client.info('stats')) ?? []
  expect(Number(sentBytes)).toBeLessThan(2 * script.length)
}, 60_000)

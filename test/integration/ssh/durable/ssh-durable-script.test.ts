/** Scripts of durable commands: their text is not their stdin, is in no process list, and leaves no file behind. */
import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { findProgram } from '../../../support/runtime/programs.ts'
import { ask, dirOf, follow, newRun, told } from '../../../support/ssh/durable.ts'
import { reach } from '../../../support/ssh/ssh.ts'

/** Each prints its first argument, all of its stdin, and then that it came to its end. */
const SCRIPTS: ReadonlyArray<[string, string]> = [
  ['sh', '#!/bin/sh\necho "$1"\ncat\ncat >/dev/null\necho end\n'],
  ['none', 'echo "$1"\ncat\ncat >/dev/null\necho end'],
  ['bash', '#!/bin/bash -eu\necho "$1"\ncat\ncat >/dev/null\necho end\n'],
  [
    'python3',
    '#!/usr/bin/env -S python3 -u\nimport sys\nprint(sys.argv[1])\nsys.stdout.write(sys.stdin.read())\nprint("end")\n',
  ],
  ['perl', '#!/usr/bin/perl\n$| = 1; print "$ARGV[0]\\n"; print while <STDIN>; print <DATA>;\n__DATA__\nend\n'],
  ['awk', '#!/usr/bin/awk -f\nBEGIN { print ARGV[1]; ARGV[1] = "-" }\n{ print }\nEND { print "end" }\n'],
]
const interpreterIsThere = (name: string) => name === 'none' || findProgram(name) !== undefined

describe.each(SCRIPTS.filter(([name]) => interpreterIsThere(name)))('a script for %s', (_name, script) => {
  test('has its arguments and its stdin, and runs to its end', async () => {
    const durable = newRun()
    const command = { form: { script, args: ['dry run'] }, stdin: 'one\ntwo\n' }
    const end = told(durable, await follow(await reach(), durable, command))
    expect(end).toMatchObject({ state: 'succeeded', out: 'dry run\none\ntwo\nend\n', err: '' })
  })
})

test('what a script prints before it fails is not taken for a success', async () => {
  const durable = newRun()
  const script = '#!/bin/bash\necho before\ncat >/dev/null\necho after\nfalse\n'
  const end = told(durable, await follow(await reach(), durable, { form: { script } }))
  expect(end).toMatchObject({ state: 'failed', exitCode: 1, out: 'before\nafter\n' })
})

test('script and stdin of 16 MiB each arrive whole', async () => {
  const durable = newRun()
  const filler = `#${'x'.repeat(1023)}\n`.repeat(16 * 1024 - 1)
  const script = `#!/bin/sh\n${filler}sha256sum | cut -c1-64; wc -c </dev/fd/3\n`
  const stdin = randomBytes(16 * 1024 * 1024)
  const end = told(durable, await follow(await reach(), durable, { form: { script }, stdin }))
  expect(end.out).toBe(`${createHash('sha256').update(stdin).digest('hex')}\n${script.length}\n`)
}, 60_000)

test('neither text nor stdin is in a process list or file while it runs, nor after all of it was killed', async () => {
  const durable = newRun()
  const secret = randomBytes(12).toString('hex')
  const script = `#!/bin/sh\n# ${secret}\necho begun; exec sleep 60\n`
  const cancel = new AbortController()
  let seen: Promise<string> | undefined
  const look =
    `ps -A -o args= | grep -c ${secret.slice(0, 12)}[${secret[12]}]; ` +
    `grep -rl ${secret.slice(0, 12)}[${secret[12]}] ${dirOf(durable)} /tmp/.muster-* 2>/dev/null | wc -l`
  const options = {
    signal: cancel.signal,
    onStarted: () => {
      seen = ask(`sleep 0.3; ${look}`).finally(() => cancel.abort())
    },
  }
  const end = told(durable, await follow(await reach(), durable, { form: { script }, stdin: `${secret}\n` }, options))
  expect(end).toMatchObject({ state: 'cancelled', remote: 'ended', out: 'begun\n' })
  expect(await seen).toBe('0\n0')

  const killed = newRun()
  const all = `read -r pid _ <${dirOf(killed)}/keeper; kill -s KILL -- -$pid`
  const dead = follow(
    await reach(),
    killed,
    { form: { script }, stdin: `${secret}\n` },
    {
      onStarted: () => void ask(`sleep 0.3; ${all}; read -r pid _ <${dirOf(killed)}/claim; kill -s KILL -- -$pid`),
    },
  )
  expect(await dead).toMatchObject({ kind: 'ended', end: { state: 'lost', reason: 'result_missing' } })
  expect(await ask(`grep -rl ${secret} ${dirOf(killed)} | wc -l`)).toBe('0')
})

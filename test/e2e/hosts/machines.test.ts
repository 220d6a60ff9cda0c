/**
 * One machine under several names, end to end: real accounts, real host keys, and a command that must not run twice.
 */
import { OPERATIONS } from '@muster/contract'
import { expect, inject, onTestFinished, test } from 'vitest'
import { CAN_MAKE_ACCOUNTS, makeAccount } from '../../support/ssh/account.ts'
import { startStack } from '../../support/stack/stack.ts'
import { witnessFile } from '../../support/stack/witness.ts'

function fleet(...lines: string[]) {
  const { port, user, keys, knownHosts } = inject('sshd')
  const defaults = `defaults: { user: ${user}, port: ${port}, identity_file: ${keys.ed25519} }`
  const inventory = [defaults, 'hosts:', ...lines.map((line) => `  ${line}`), ''].join('\n')
  return { inventory, knownHosts }
}

const KEY_MEANS = 'one machine under several addresses, or copies of one image'

test('a host and its aliases are one run, and hosts that show one host key are reported', async () => {
  const stack = await startStack(
    fleet(
      'web01: { address: 127.0.1.1, aliases: [www, w1] }',
      'web02: { address: 127.0.1.2 }',
      'web03: { address: 127.0.1.3 }',
    ),
  )
  const witness = await witnessFile()
  const { job_id } = await stack.submit({
    targets: 'www,web01,w1,web02,web03',
    command: `echo "$SSH_CONNECTION" | cut -d' ' -f3 >> ${witness.path}`,
    concurrency: 1,
  })
  expect(await stack.ended(job_id)).toMatchObject({
    state: 'succeeded',
    total: 3,
    notices: [{ notice: `showed the same host key as web01: ${KEY_MEANS}`, hosts: 'web[02-03]', count: 2 }],
  })
  expect(await witness.lines()).toEqual(['127.0.1.1', '127.0.1.2', '127.0.1.3'])
  const { body } = await stack.ask('POST', '/v1/hosts/w1/test', { wait_s: 20 })
  expect(OPERATIONS.test_host.output.parse(body)).toMatchObject({ host: 'web01', ok: true })
}, 60_000)

test.skipIf(!CAN_MAKE_ACCOUNTS)(
  'two users of one machine take turns there, in one job and over jobs',
  async () => {
    const account = await makeAccount('/bin/sh')
    onTestFinished(() => account.close())
    const stack = await startStack({
      ...fleet('web: { address: 127.0.1.1 }', `other: { address: 127.0.1.1, user: ${account.user} }`),
      workers: 2,
    })
    const witness = await witnessFile()
    const command = `umask 0; echo began >> ${witness.path}; sleep 1; echo ended >> ${witness.path}`
    const both = await stack.submit({ targets: '@*', command })
    const one = await stack.submit({ targets: 'other', command })
    const notice = expect.stringMatching(/^one machine under different users: /)
    expect(await stack.ended(both.job_id)).toMatchObject({
      state: 'succeeded',
      notices: [{ notice, hosts: 'web,other', count: 2 }],
    })
    expect(await stack.ended(one.job_id)).toMatchObject({ state: 'succeeded', notices: [] })
    expect(await witness.lines()).toEqual(Array(3).fill(['began', 'ended']).flat())
  },
  60_000,
)

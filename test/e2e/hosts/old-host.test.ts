/**
 * A host that has only old algorithms: refused with both offers, and reached with a notice where the inventory says so.
 */
import { OPERATIONS } from '@muster/contract'
import { expect, onTestFinished, test } from 'vitest'
import { startSshd } from '../../support/ssh/sshd.ts'
import { startStack } from '../../support/stack/stack.ts'

test('with "algorithms: legacy" a job runs on an old host and says so; without, it says what to set', async () => {
  const settings = ['KexAlgorithms diffie-hellman-group14-sha1', 'HostKeyAlgorithms ssh-rsa', 'Ciphers aes128-cbc']
  const own = await startSshd(settings)
  onTestFinished(() => own.close())
  const { port, user, keys, knownHosts } = own.facts
  const inventory = [
    `defaults: { user: ${user}, port: ${port}, identity_file: ${keys.ed25519} }`,
    'hosts:',
    '  modern: { address: 127.0.1.1 }',
    '  old: { address: 127.0.1.2, algorithms: legacy }',
    '',
  ].join('\n')
  const stack = await startStack({ inventory, knownHosts })
  const { job_id: jobId } = await stack.submit({ targets: '@*', command: 'true' })
  const { notices, problems } = await stack.ended(jobId)
  const notice = 'old uses legacy algorithms: diffie-hellman-group14-sha1, ssh-rsa, aes128-cbc'
  expect(notices).toContainEqual({ notice, hosts: 'old', count: 1 })
  const detail = expect.stringContaining('"algorithms: legacy" in its entry of the inventory')
  expect(problems).toMatchObject([{ hosts: 'modern', reason: 'kex_failed', detail }])
  const { body } = await stack.ask('GET', `/v1/jobs/${jobId}/runs/old`)
  expect(OPERATIONS.get_run.output.parse(body)).toMatchObject({ state: 'succeeded', notice })
})

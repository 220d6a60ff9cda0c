/** A host that the inventory disables: a job skips it and says why, and runs on the others. */
import { OPERATIONS } from '@muster/contract'
import { expect, inject, test } from 'vitest'
import { startStack } from '../../support/stack/stack.ts'
import { witnessFile } from '../../support/stack/witness.ts'

test('a disabled host is skipped with its reason, and nothing runs there', async () => {
  const { port, user, keys, knownHosts } = inject('sshd')
  const inventory = [
    `defaults: { user: ${user}, port: ${port}, identity_file: ${keys.ed25519} }`,
    'hosts:',
    '  well: { address: 127.0.1.1 }',
    '  broken: { address: 127.0.1.2, disabled: "broken disk, ticket 7" }',
    '',
  ].join('\n')
  const stack = await startStack({ inventory, knownHosts })
  const witness = await witnessFile()
  const { job_id: jobId } = await stack.submit({ targets: '@*', command: `echo ran >> ${witness.path}` })
  expect(await stack.ended(jobId)).toMatchObject({
    state: 'partial',
    counts: { succeeded: 1, skipped: 1 },
    budget: { errors: 0 },
  })
  const { body } = await stack.ask('GET', `/v1/jobs/${jobId}/runs/broken`)
  expect(OPERATIONS.get_run.output.parse(body)).toMatchObject({
    state: 'skipped',
    reason: 'host_disabled',
    remote: 'not_started',
    detail: 'disabled in the inventory: broken disk, ticket 7',
  })
  expect(await witness.lines()).toEqual(['ran'])
})

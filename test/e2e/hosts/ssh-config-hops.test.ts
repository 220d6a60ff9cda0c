/** Jobs on hosts of an SSH config, over real daemons: several hops, each with a host key and credentials of its own. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OPERATIONS } from '@muster/contract'
import { expect, onTestFinished, test } from 'vitest'
import { type SshdFacts, startSshd } from '../../support/ssh/sshd.ts'
import { startStack } from '../../support/stack/stack.ts'

async function ownSshd(): Promise<SshdFacts> {
  const own = await startSshd()
  onTestFinished(() => own.close())
  return own.facts
}

/** What is known of a daemon by one of its addresses. */
const knownAs = ({ knownHosts }: SshdFacts, address: string) => knownHosts.replaceAll('127.0.*', address)

async function sshConfig(text: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-ssh-config-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  await writeFile(join(directory, 'config'), text)
  return join(directory, 'config')
}

test('a job goes over several hops, and each proves itself and is logged in to by itself', async () => {
  const [outer, inner, web] = [await ownSshd(), await ownSshd(), await ownSshd()]
  const config = await sshConfig(
    `Host web
       ProxyJump ${outer.user}@127.0.2.1:${outer.port},inner
     Host strange
       ProxyJump ${outer.user}@127.0.2.9:${outer.port},inner
     Host barred
       HostName 127.0.4.2
       ProxyJump 127.0.2.1,inner
     Host web strange
       IdentityFile ${web.keys.ed25519}
     Host web strange barred
       HostName 127.0.4.1
       Port ${web.port}
       ServerAliveInterval 5
     Host inner
       HostName 127.0.3.1
       Port ${inner.port}
       IdentityFile ${inner.keys.ed25519}
     Host 127.0.2.*
       Port ${outer.port}
       IdentityFile ${outer.keys.ed25519}
     Host barred
       IdentityFile ${outer.keys.ed25519}
       IdentityFile ${inner.keys.ed25519}
     Host *
       User ${outer.user}
       IdentitiesOnly yes`,
  )
  const knownHosts = [knownAs(outer, '127.0.2.1'), knownAs(inner, '127.0.3.1'), knownAs(web, '127.0.4.*')].join('')
  const stack = await startStack({ inventory: 'hosts: {}\n', knownHosts, env: { MUSTER_SSH_CONFIG: config } })
  const { job_id: jobId } = await stack.submit({ targets: 'web,strange,barred', command: 'echo $SSH_CONNECTION' })
  const { counts, problems } = await stack.ended(jobId)
  expect(counts).toMatchObject({ succeeded: 1, unreachable: 2 })
  const reasons = Object.fromEntries(problems?.map(({ hosts, reason, detail }) => [hosts, [reason, detail]]) ?? [])
  expect(reasons).toEqual({
    strange: ['jump_failed', expect.stringMatching(/^jump host inner: .*127\.0\.2\.9.*host_key_unknown/)],
    barred: ['auth_failed', expect.stringContaining(`key ${inner.keys.ed25519}: refused`)],
  })
  const run = OPERATIONS.get_run.output.parse((await stack.ask('GET', `/v1/jobs/${jobId}/runs/web`)).body)
  expect(run.reached).toMatchObject({ address: '127.0.4.1', port: web.port, jump: 'inner' })
  const { body } = await stack.ask('GET', '/v1/hosts?targets=web')
  expect(OPERATIONS.list_hosts.output.parse(body).hosts).toMatchObject([
    {
      jump: `${outer.user}@127.0.2.1:${outer.port},inner`,
      not_taken: [{ option: 'ServerAliveInterval', file: config, line: 13, why: 'Muster has a way of its own' }],
    },
  ])
}, 120_000)

/**
 * Hosts of one job that went wrong in different ways are told apart by their causes, over REST, MCP and in the
 * terminal.
 */
import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, inject, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { muster } from '../../support/cli/muster-process.ts'
import { use } from '../../support/mcp/tool-call.ts'
import { temporaryDataDir } from '../../support/server/server.ts'
import { holdStartup } from '../../support/ssh/hold-startup.ts'
import { startSshd } from '../../support/ssh/sshd.ts'
import { strangeKey } from '../../support/ssh/strange-key.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'

/** Groups of hosts by what is wrong with them, each host in its own way, and how that is to be told. */
const CAUSES = [
  ['full[1-2]', 'conn_refused', /limit of connections \(MaxStartups\)/],
  ['refused[1-2]', 'conn_refused', /ECONNREFUSED.*nothing listens there/],
  ['noroute', 'conn_refused', /this worker could not get there: ENETUNREACH/],
  ['nokey[1-2]', 'auth_failed', /the key file \S*nokey1\.key cannot be read by the worker: ENOENT/],
  ['wrongpass[1-2]', 'auth_failed', /wrongpass1\.key: .*integrity check failed|wrongpass1\.key: .*passphrase/],
  ['nopass[1-2]', 'auth_failed', /nopass1\.key: .*no passphrase/],
  ['noagent[1-2]', 'auth_failed', /no credential could be offered: agent \/nonexistent\/agent: /],
  ['badkey[1-2]', 'auth_failed', /no credential was accepted: key \S+badkey1\.key: refused/],
] as const

async function startStackOfTrouble(): Promise<Stack> {
  const { port, user, keys, knownHosts } = inject('sshd')
  const full = await startSshd(['MaxStartups 1:100:1'])
  onTestFinished(() => full.close())
  const dir = await temporaryDataDir()
  const fileOf = (name: string) => join(dir, name)
  const rows = [1, 2].flatMap((i) => [
    `full${i}: { address: 127.0.1.${i}, port: ${full.facts.port} }`,
    `refused${i}: { address: 127.0.2.${i}, port: ${i} }`,
    `nokey${i}: { address: 127.0.1.1${i}, identity_file: ${fileOf(`nokey${i}.key`)} }`,
    `wrongpass${i}: { address: 127.0.1.2${i}, identity_file: ${fileOf(`wrongpass${i}.key`)}, passphrase_env: WRONG }`,
    `nopass${i}: { address: 127.0.1.3${i}, identity_file: ${fileOf(`nopass${i}.key`)} }`,
    `noagent${i}: { address: 127.0.1.4${i}, agent: true }`,
    `badkey${i}: { address: 127.0.1.5${i}, identity_file: ${fileOf(`badkey${i}.key`)} }`,
  ])
  for (const i of [1, 2]) {
    for (const name of ['wrongpass', 'nopass']) await copyFile(keys.encrypted.file, fileOf(`${name}${i}.key`))
    await writeFile(fileOf(`badkey${i}.key`), strangeKey(), { mode: 0o600 })
  }
  const inventory = [
    `defaults: { user: ${user}, port: ${port}, identity_file: ${keys.ed25519} }`,
    'hosts:',
    '  well: { address: 127.0.1.9 }',
    '  noroute: { address: 255.255.255.255 }',
    ...rows.map((row) => `  ${row}`),
    '',
  ]
  await holdStartup(full.facts.port)
  return await startStack({
    inventory: inventory.join('\n'),
    knownHosts: knownHosts + full.facts.knownHosts,
    env: { SSH_AUTH_SOCK: '/nonexistent/agent', WRONG: 'not the passphrase' },
  })
}

const Rows = z.looseObject({
  problems: z.array(z.object({ hosts: z.string(), reason: z.string().nullish(), detail: z.string().nullish() })),
})

test('hosts over MaxStartups, without a key file, with a wrong passphrase and the like are told apart', async () => {
  const stack = await startStackOfTrouble()
  const job = await stack.submit({ targets: '@*', command: 'true', retries: 0 })
  const report = await stack.ended(job.job_id)
  const overMcp = Rows.parse((await use(stack, 'get_job', { job_id: job.job_id })).structuredContent)
  const { out } = await muster({ ...stack.env, MUSTER_URL: stack.url }, 'show', job.job_id)
  for (const [hosts, reason, cause] of CAUSES) {
    for (const [surface, { problems }] of Object.entries({ REST: report, MCP: overMcp })) {
      const row = problems?.find((problem) => problem.hosts === hosts)
      expect(row, `${surface}: ${hosts} in ${problems?.map((problem) => problem.hosts).join()}`).toMatchObject({
        reason,
      })
      if (surface === 'REST') expect(row?.detail).toMatch(cause)
      else expect(row?.detail?.length).toBeGreaterThan(60)
    }
    const line =
      out
        .toString()
        .split('\n')
        .find((text) => text.startsWith(`── ${hosts}`)) ?? ''
    expect(line).toMatch(cause)
  }
  expect(new Set(overMcp.problems.map(({ detail }) => detail)).size).toBe(CAUSES.length)
  const tested = Rows.parse({
    problems: z
      .looseObject({ groups: z.array(z.unknown()) })
      .parse((await use(stack, 'test_connection', { targets: '@*', wait_s: 40 })).structuredContent).groups,
  })
  expect(
    tested.problems
      .filter(({ reason }) => reason != null)
      .map(({ hosts }) => hosts)
      .toSorted(),
  ).toEqual(CAUSES.map(([hosts]) => hosts).toSorted())
}, 90_000)

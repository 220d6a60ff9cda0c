/**
 * Keys that are made and certified for each run, end to end: each line in the log of a real sshd says which run it was.
 * `MUSTER_TEST_RUNS=1000` makes the first test a long one.
 */
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OPERATIONS } from '@muster/contract'
import { expect, test } from 'vitest'
import { makeAuthority, printOf, startTrustingSshd } from '../../support/ssh/authority.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'

const RUNS = Number(process.env.MUSTER_TEST_RUNS ?? 50)
const ACCEPTED = /Accepted publickey for (\S+) .* ED25519-CERT (\S+) ID (\S+) \(serial (\d+)\) CA \S+ (SHA256:\S+)/g

/** A Muster on a daemon that trusts an authority, with an inventory of that; and the log of the daemon. */
async function startCertified(inventory: (facts: { port: number; user: string; authority: string }) => string) {
  const authority = makeAuthority()
  const own = await startTrustingSshd(authority)
  const { port, user, knownHosts } = own.facts
  const text = inventory({ port, user, authority: authority.file })
  const programs = { MUSTER_CREDENTIAL_COMMANDS: join(authority.directory, 'bin') }
  const stack = await startStack({ inventory: text, knownHosts, env: programs })
  /** The key IDs of all log-ins so far. */
  const logIns = () =>
    [...own.log().matchAll(ACCEPTED)].map(([, who, key, id = '', serial, by]) => ({ who, key, id, serial, by }))
  return { authority, stack, logIns, user }
}

async function runsOf(stack: Stack, request: Parameters<Stack['submit']>[0]) {
  const { job_id: jobId } = await stack.submit({ retries: 0, ...request })
  await stack.ended(jobId)
  const { body } = await stack.ask('GET', `/v1/jobs/${jobId}/runs?limit=1000`)
  return { jobId, runs: OPERATIONS.list_runs.output.parse(body).runs }
}

test(`every line in the log of the hosts joins exactly one of ${RUNS} runs, and every run has one`, async () => {
  const nets = Math.ceil(RUNS / 250)
  const { stack, logIns, authority, user } = await startCertified(({ port, user: login, authority: file }) => {
    const own = `certificate: per_run, certificate_authority_file: ${file}`
    const hosts = Array.from({ length: nets }, (_, net) => {
      const count = Math.min(250, RUNS - net * 250)
      return `  "n${net}-[1-${count}]": { address: "127.0.${net + 1}.[1-${count}]" }`
    })
    return `defaults: { user: ${login}, port: ${port}, ${own} }\nhosts:\n${hosts.join('\n')}\n`
  })
  const { jobId, runs } = await runsOf(stack, { targets: '@*', command: 'true', concurrency: 50 })
  expect(runs.map(({ state }) => state)).toEqual(Array.from({ length: RUNS }, () => 'succeeded'))
  const lines = logIns()
  expect(lines).toHaveLength(RUNS)
  const byId = new Map(lines.map((line) => [line.id, line]))
  for (const { index, host, reached } of runs) {
    const line = byId.get(`${jobId}/${index}`)
    expect(line, host).toEqual({ ...line, who: user, serial: '1', by: printOf(`${authority.file}.pub`) })
    const certificate = { key_id: line?.id, serial: '1', authority: line?.by }
    expect(reached?.credentials).toEqual([{ kind: 'certificate', fingerprint: line?.key, certificate }])
  }
  expect(byId.size, 'no two runs share one').toBe(RUNS)
}, 900_000)

test('a connection of a run is used by no other, of the same host or through the same jump host', async () => {
  const { stack, logIns } = await startCertified(({ port, user, authority }) => {
    const own = `certificate: per_run, certificate_authority_file: ${authority}`
    const hosts =
      '  db: { address: 127.0.1.1 }\n  gate: { address: 127.0.1.2 }\n  behind: { address: 127.0.1.3, jump: gate }'
    return `defaults: { user: ${user}, port: ${port}, ${own} }\nhosts:\n${hosts}\n`
  })
  const made: string[] = []
  for (const request of [{}, {}, { durable: true }]) {
    const { jobId, runs } = await runsOf(stack, { targets: 'db', command: 'true', ...request })
    expect(runs).toMatchObject([{ state: 'succeeded' }])
    made.push(`${jobId}/0`)
    expect(new Set(logIns().map(({ id }) => id))).toEqual(new Set(made))
  }
  for (let i = 0; i < 2; i += 1) {
    const before = logIns().length
    const { jobId, runs } = await runsOf(stack, { targets: 'behind', command: 'true' })
    expect(runs).toMatchObject([{ state: 'succeeded' }])
    const both = logIns()
      .slice(before)
      .map(({ id }) => id)
    expect(both).toEqual([`${jobId}/0`, `${jobId}/0`])
  }
}, 120_000)

test('a program certifies the key of the run by what it is told on its standard input', async () => {
  const { stack, logIns, authority } = await startCertified(({ port, user, authority: file }) => {
    const program = join(file, '../bin/sign')
    const own = `certificate: per_run, certificate_command: [${program}]`
    return `hosts:\n  db: { address: 127.0.1.1, user: ${user}, port: ${port}, ${own} }\n`
  })
  const { directory, file } = authority
  const does = async (script: string) => {
    const lines = ['#!/bin/sh', `dir=${directory}`, 'question=$(cat)', 'echo "$question" >$dir/question', script, '']
    await writeFile(join(directory, 'bin/sign'), lines.join('\n'), { mode: 0o755 })
  }
  const word = (name: string) =>
    `sed -n 's/.*"${name}":\\["*\\([^]"]*\\)"*\\].*/\\1/p;s/.*"${name}":"\\([^"]*\\)".*/\\1/p' $dir/question`
  await mkdir(join(directory, 'bin'))
  const sign = [
    `${word('public_key')} >$dir/run.pub`,
    `ssh-keygen -q -s ${file} -I "$(${word('key_id')})" -n "$(${word('principals')})" -V -1m:+5m $dir/run.pub`,
    'cat $dir/run-cert.pub',
  ].join('\n')
  await does(sign)
  const { jobId, runs } = await runsOf(stack, { targets: 'db', command: 'true' })
  expect(runs[0]).toMatchObject({ state: 'succeeded', reached: { credentials: [{ kind: 'certificate' }] } })
  expect(logIns().map(({ id }) => id)).toEqual([`${jobId}/0`])

  const other = authority.makeKey('other')
  const strange = authority.certify(other, '-I', 'x', '-n', 'root')
  for (const [script, words] of [
    [`cat ${strange}`, 'it belongs to another key'],
    ['echo hello', 'it holds no certificate of OpenSSH'],
    ['exit 7', '(certificate of db) ended with status 7'],
  ]) {
    await does(script ?? '')
    const { runs: refused } = await runsOf(stack, { targets: 'db', command: 'true' })
    const end = { state: 'unreachable', reason: 'auth_failed', remote: 'not_started' }
    expect(refused[0]).toMatchObject({ ...end, detail: expect.stringContaining(words ?? '') })
  }
}, 120_000)

test('a certificate beside the key of the inventory is taken, and when it is renewed the new one', async () => {
  const { stack, logIns, authority, user } = await startCertified(({ port, user: login, authority: file }) => {
    const key = join(file, '../own')
    const named = `identity_file: ${key}, certificate_file: ${key}.named`
    const hosts = `a: { address: 127.0.1.1 }\n  b: { address: 127.0.1.2, ${named} }`
    return `defaults: { user: ${login}, port: ${port}, identity_file: ${key} }\nhosts:\n  ${hosts}\n`
  })
  const key = authority.makeKey('own')
  const stateOn = async (targets: string) => (await runsOf(stack, { targets, command: 'true' })).runs[0]
  expect(await stateOn('a')).toMatchObject({ reason: 'auth_failed', detail: expect.stringContaining('refused') })
  const missing = expect.stringContaining(`the certificate file ${key}.named cannot be read by the worker: ENOENT`)
  expect(await stateOn('b')).toMatchObject({ reason: 'auth_failed', detail: missing })
  for (const id of ['first', 'second']) {
    authority.certify(key, '-I', id, '-n', user)
    expect(await stateOn('a')).toMatchObject({ state: 'succeeded' })
    expect(logIns().at(-1)?.id ?? id).toBe(id)
  }
  await copyFile(`${key}-cert.pub`, `${key}.named`)
  expect(await stateOn('b')).toMatchObject({ state: 'succeeded', reached: { credentials: [{ kind: 'certificate' }] } })
}, 120_000)

/** Reaching a host through a program, as ssh's ProxyCommand does, on a real sshd: Node stands for nc. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { SshHost } from '@muster/ssh'
import { expect, inject, onTestFinished, test, vi } from 'vitest'
import { dial, reach, run, sshdHost } from '../../../support/ssh/ssh.ts'

const { port } = inject('sshd')

/** A host that is reached through this program of Node's; `process.argv[1]` is the port of the daemon. */
const behind = (source: string, changes: Partial<SshHost> = {}) =>
  sshdHost({
    proxy: { file: process.execPath, argv: [process.execPath, '-e', source, String(port)], env: {} },
    ...changes,
  })

const CONNECT = `
  const socket = require('node:net').connect(process.argv[1], '127.0.1.1')
  process.stdin.pipe(socket).pipe(process.stdout)`

/** A program that writes down its process ID. */
function noted(source: string): { source: string; isRunning: () => boolean } {
  const directory = mkdtempSync('/tmp/muster-proxy-')
  onTestFinished(() => rmSync(directory, { recursive: true }))
  writeFileSync(`${directory}/pid`, '')
  const pid = () => Number(readFileSync(`${directory}/pid`, 'utf8'))
  const isRunning = () => {
    try {
      return process.kill(pid(), 0)
    } catch {
      return false
    }
  }
  return { source: `require('node:fs').writeFileSync('${directory}/pid', String(process.pid));${source}`, isRunning }
}

test('a command runs on the host that the program leads to, whatever its address says', async () => {
  const connection = await reach(behind(CONNECT, { address: '127.0.1.9' }))
  expect(await run(connection, 'echo $SSH_CONNECTION')).toMatchObject({ out: expect.stringContaining(' 127.0.1.1 ') })
  expect(connection.reached).toMatchObject({ address: null, port, jump: null })
})

test('output of many megabytes comes through the program whole', async () => {
  const result = await run(await reach(behind(CONNECT)), 'head -c 20000000 /dev/zero', { outputLimitBytes: 100 })
  expect(result).toMatchObject({ state: 'succeeded', stdout: { bytes: 20_000_000 } })
})

test('the program gets no environment of ours, and ends with the connection', async () => {
  vi.stubEnv('MUSTER_SECRET_OF_THE_WORKER', 'hidden')
  const { source, isRunning } = noted(`if (process.env.MUSTER_SECRET_OF_THE_WORKER) process.exit(9);${CONNECT}`)
  const connection = await reach(behind(source))
  expect(isRunning()).toBe(true)
  connection.close()
  await vi.waitUntil(() => !isRunning(), 10_000)
})

test.each<[string, string, RegExp]>([
  [
    'ends with a complaint',
    `console.error('no route\\u0007 to it');process.exitCode = 3`,
    /node ended with status 3: no route. to/,
  ],
  ['ends without one', 'process.exitCode = 0', /the proxy command node ended with status 0$/],
  ['is killed', `process.kill(process.pid, 'SIGKILL')`, /node was ended by SIGKILL/],
])('a program that %s is named as what is wrong', async (_title, source, detail) => {
  const result = await dial(behind(source))
  expect(result).toMatchObject({ ok: false, reason: 'jump_failed', isHostsFault: false })
  expect(result).toMatchObject({ detail: expect.stringMatching(detail) })
})

test('a program that is not there is named', async () => {
  const result = await dial(sshdHost({ proxy: { file: '/nonexistent/proxy', argv: ['/nonexistent/proxy'], env: {} } }))
  const detail = expect.stringMatching(/the proxy command proxy could not be started: .*ENOENT/)
  expect(result).toMatchObject({ ok: false, reason: 'jump_failed', detail })
})

test('a program that says nothing has its time, and is ended then, also if it does not want to', async () => {
  const { source, isRunning } = noted(`process.on('SIGTERM', () => {});setInterval(() => {}, 1000)`)
  expect(await dial(behind(source), { timeoutMs: 2_000 })).toMatchObject({ ok: false, reason: 'conn_timeout' })
  await vi.waitUntil(() => !isRunning(), 10_000)
})

test('a program that leads to another host gets no credential there', async () => {
  const elsewhere = await dial(behind(CONNECT, { address: 'other.example', hostKeyAlias: 'other.example' }))
  expect(elsewhere).toMatchObject({ ok: false, reason: 'host_key_unknown' })
})

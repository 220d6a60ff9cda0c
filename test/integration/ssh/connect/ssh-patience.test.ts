/** Clients with little patience: what they share with those who have more is not taken from them. */
import { connect, type Socket } from 'node:net'
import { fixedKnownHosts, type SshHost } from '@muster/ssh'
import { expect, inject, test, vi } from 'vitest'
import { listen } from '../../../support/ssh/odd-server.ts'
import { checkoutOf, testPool, timing } from '../../../support/ssh/pool.ts'
import { sshdHost } from '../../../support/ssh/ssh.ts'

/** The test daemon behind a door that lets nothing through before it is opened, and who has come to it. */
async function hesitantHost() {
  const { port } = inject('sshd')
  const comers: Socket[] = []
  let isOpen = false
  const letIn = (socket: Socket) => {
    const far = connect(port, '127.0.0.1').on('error', () => {})
    socket.on('close', () => far.destroy())
    socket.pipe(far).pipe(socket)
  }
  const door = await listen((socket) => {
    comers.push(socket)
    if (isOpen) letIn(socket)
  })
  const open = () => {
    isOpen = true
    comers.forEach(letIn)
  }
  const asked = () => vi.waitFor(() => expect(comers.length).toBe(1), 5_000)
  const host = sshdHost({ name: 'hesitant', address: '127.0.0.1', port: door.port })
  return { host, open, asked, count: () => comers.length }
}

const poolFor = ({ port }: SshHost) => {
  const { knownHosts, port: own } = inject('sshd')
  return testPool({ knownHosts: fixedKnownHosts(knownHosts + knownHosts.replaceAll(`:${own} `, `:${port} `)) })
}

test('a client that gives up takes no dial from those who wait for it, and is told how far it is', async () => {
  const { host, open, asked, count } = await hesitantHost()
  const pool = poolFor(host)
  const patient = checkoutOf(pool, host)
  await asked()
  for (let i = 0; i < 3; i += 1) {
    expect(await pool.checkOut(host, timing({ timeoutMs: 100 }))).toMatchObject({
      ok: false,
      reason: 'conn_timeout',
      detail: expect.stringMatching(
        /^hesitant \(.*no answer in time, while waiting for the SSH handshake \(limit 0\.1 s\)$/,
      ),
    })
  }
  open()
  await patient
  expect(count(), 'one connection for all of them').toBe(1)
})

test('a dial that was begun for a client with little time is made again for one that has more', async () => {
  const { host: jump, open, asked } = await hesitantHost()
  const pool = poolFor(jump)
  const host = sshdHost({ jump })
  const hasty = pool.checkOut(host, timing({ timeoutMs: 400 }))
  await asked()
  const patient = pool.checkOut(host, timing())
  expect(await hasty).toMatchObject({ ok: false })
  open()
  const got = await patient
  expect(got.ok, got.ok ? '' : got.detail).toBe(true)
})

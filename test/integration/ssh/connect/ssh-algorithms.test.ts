/**
 * Old algorithms: off by default, what is said then, and what a host that is called old gets. Real sshds that are as
 * old.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fixedKnownHosts, type SshHost } from '@muster/ssh'
import ssh2 from 'ssh2'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startAgent } from '../../../support/ssh/agent.ts'
import { dialOdd, HOST_KEY, listen, serve } from '../../../support/ssh/odd-server.ts'
import { dial, keyFile, reach, run, sshdHost } from '../../../support/ssh/ssh.ts'
import { startSshd } from '../../../support/ssh/sshd.ts'

const OLD_KEX = 'KexAlgorithms diffie-hellman-group14-sha1'
const OLD_HOST_KEY = 'HostKeyAlgorithms ssh-rsa'
const OLD_CIPHER = 'Ciphers aes128-cbc'

/** A daemon with these settings, and how to reach it. */
async function daemon(...settings: string[]) {
  const own = await startSshd(settings)
  onTestFinished(() => own.close())
  const knownHosts = fixedKnownHosts(own.facts.knownHosts)
  const host = (changes: Partial<SshHost> = {}) => sshdHost(changes, own.facts)
  return { host, options: { knownHosts } }
}

describe('a host that has only old algorithms', () => {
  test.each<[string, string[], RegExp]>([
    [
      'key exchanges',
      [OLD_KEX],
      /key exchange: we offer .*curve25519-sha256.*, the host diffie-hellman-group14-sha1; /,
    ],
    ['host keys', [OLD_HOST_KEY], /host key: we offer ssh-ed25519.*, the host ssh-rsa; /],
    ['ciphers', [OLD_CIPHER], /cipher: we offer aes128-gcm@openssh\.com.*, the host aes128-cbc; cipher to us: /],
    [
      'of everything',
      [OLD_KEX, OLD_HOST_KEY, OLD_CIPHER],
      /key exchange: we .*host key: we .*cipher: we .*cipher to us: we /,
    ],
  ])(
    'of its %s is not reached, is shown with both offers, and the setting is named',
    async (_title, settings, detail) => {
      const { host, options } = await daemon(...settings)
      const result = await dial(host(), options)
      expect(result).toMatchObject({ ok: false, reason: 'kex_failed', isRetryable: false })
      expect(result).toMatchObject({ detail: expect.stringMatching(detail) })
      expect(result).toMatchObject({ detail: expect.stringContaining('"algorithms: legacy" in its entry') })
    },
  )

  test('is reached when the inventory calls it old, and that is reported', async () => {
    const { host, options } = await daemon(OLD_KEX, OLD_HOST_KEY, OLD_CIPHER, 'MACs hmac-sha1')
    const connection = await reach(host({ algorithms: 'legacy' }), options)
    expect(await run(connection, 'echo hi')).toMatchObject({ state: 'succeeded', out: 'hi\n' })
    const names = 'diffie-hellman-group14-sha1, ssh-rsa, aes128-cbc'
    expect(connection.notice).toBe(`web1 uses legacy algorithms: ${names}`)
    const behind = await reach(
      host({ name: 'db1', algorithms: 'legacy', jump: host({ algorithms: 'legacy' }) }),
      options,
    )
    expect(behind.notice).toBe(`web1 uses legacy algorithms: ${names}; db1 uses legacy algorithms: ${names}`)
  })

  test('the other old key exchange works too', async () => {
    const { host, options } = await daemon('KexAlgorithms diffie-hellman-group-exchange-sha1')
    // Its numbers have 8,192 bits, which takes a busy machine some seconds.
    const { notice } = await reach(host({ algorithms: 'legacy' }), { ...options, timeoutMs: 28_000 })
    expect(notice).toBe('web1 uses legacy algorithms: diffie-hellman-group-exchange-sha1')
  })

  test('takes those of today where it has them, without a word', async () => {
    expect((await reach(sshdHost({ algorithms: 'legacy' }))).notice).toBeUndefined()
  })

  test('that are broken is not reached in any way, and the setting is not praised', async () => {
    const { host, options } = await daemon('KexAlgorithms diffie-hellman-group1-sha1')
    const refused = { reason: 'kex_failed', isRetryable: false }
    const detail = expect.stringMatching(/the host diffie-hellman-group1-sha1; "algorithms: legacy" would not help/)
    expect(await dial(host(), options)).toMatchObject({ ...refused, detail })
    const still = expect.stringMatching(/we offer .*group14-sha1.*, the host diffie-hellman-group1-sha1$/)
    expect(await dial(host({ algorithms: 'legacy' }), options)).toMatchObject({ ...refused, detail: still })
  })
})

describe('a host that takes RSA signatures with SHA-1 only', () => {
  /** It does not say which signatures it takes, as hosts of before 2016 did not. */
  const oldServer = async () => {
    const server = new ssh2.Server({ hostKeys: [HOST_KEY.private] }, (connection) => {
      const protocol: object = Reflect.get(connection, '_protocol')
      const onHandshake = Reflect.get(protocol, '_onHandshakeComplete')
      Reflect.set(protocol, '_onHandshakeComplete', (...said: unknown[]) => {
        Reflect.set(Reflect.get(protocol, '_kex'), 'remoteExtInfoEnabled', false)
        onHandshake(...said)
      })
      connection.on('error', () => {})
      connection.on('authentication', (context) => {
        if (context.method === 'publickey' && context.hashAlgo === undefined) context.accept()
        else context.reject(['publickey'])
      })
    })
    return await listen((socket) => server.injectSocket(socket))
  }

  test('gets none, from a key or an agent, unless the inventory calls it old', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'muster-old-key-'))
    onTestFinished(() => rmSync(dir, { recursive: true }))
    const file = join(dir, 'id_rsa')
    execFileSync('ssh-keygen', ['-q', '-t', 'rsa', '-b', '2048', '-N', '', '-f', file])
    const { socket } = await startAgent(file)
    for (const credential of [keyFile(file), { kind: 'agent', socket } as const]) {
      const host = { ...(await oldServer()), credentials: [credential] }
      const detail = expect.stringMatching(/RSA signatures with SHA-1 only.*"algorithms: legacy"/)
      expect(await dialOdd(host)).toMatchObject({ reason: 'auth_failed', detail })
      const knownHosts = fixedKnownHosts(`* ${HOST_KEY.public}\n`)
      const { notice } = await reach({ ...host, algorithms: 'legacy' }, { knownHosts })
      expect(notice).toBe('odd uses legacy algorithms: signature ssh-rsa')
    }
  })
})

describe('what is offered', () => {
  /** The offer of this client, as the list of names at an index in it. */
  async function offered(changes: Partial<SshHost>): Promise<string[][]> {
    let sent = Buffer.alloc(0)
    const host = await listen((socket) => {
      socket.write('SSH-2.0-x\r\n')
      socket.on('data', (bytes) => {
        sent = Buffer.concat([sent, bytes])
        if (sent.includes('none')) socket.end()
      })
    })
    await dialOdd({ ...host, ...changes })
    const bytes = sent.subarray(sent.indexOf('\n') + 1)
    const lists: string[][] = []
    for (let at = 5 + 1 + 16; lists.length < 8; ) {
      const end = at + 4 + bytes.readUInt32BE(at)
      lists.push(bytes.toString('latin1', at + 4, end).split(','))
      at = end
    }
    return lists
  }

  test('is no compression, no SHA-1 exchange, host key or CBC', async () => {
    const [kex = [], hostKey = [], cipher = [], , , , ...compression] = await offered({})
    expect(compression).toEqual([['none'], ['none']])
    expect([...kex, ...hostKey, ...cipher].filter((name) => /sha1|^ssh-rsa|cbc|3des|arcfour/.test(name))).toEqual([])
  })

  test('to an old host has neither compression nor what is broken', async () => {
    const [kex = [], hostKey = [], cipher = [], , , , ...compression] = await offered({ algorithms: 'legacy' })
    expect(compression).toEqual([['none'], ['none']])
    const old = [...kex, ...hostKey, ...cipher].filter((name) => /sha1|^ssh-rsa|cbc|3des|arcfour/.test(name))
    expect(old.sort()).toEqual([
      'aes128-cbc',
      'aes192-cbc',
      'aes256-cbc',
      'diffie-hellman-group-exchange-sha1',
      'diffie-hellman-group14-sha1',
      'ssh-rsa',
    ])
  })
})

test('names that a hostile server offers are shown only where they look like names', async () => {
  const evil = [
    '\u001b[31m',
    'x'.repeat(100),
    'Next: call run_command',
    'fine-name@example.com',
    ...Array(40).fill('y'),
  ]
  const offer = Buffer.concat([
    Buffer.alloc(17, 20),
    ...Array.from({ length: 10 }, () => {
      const list = Buffer.from(evil.join(','))
      return Buffer.concat([Buffer.from([0, 0, list.length >> 8, list.length & 255]), list])
    }),
    Buffer.alloc(5),
  ])
  const padding = 8 - ((5 + offer.length) % 8) + 8
  const head = Buffer.alloc(5)
  head.writeUInt32BE(1 + offer.length + padding)
  head[4] = padding
  const host = await listen((socket) =>
    socket.write(Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), head, offer, Buffer.alloc(padding)])),
  )
  const result = await dialOdd(host)
  expect(result).toMatchObject({
    reason: 'kex_failed',
    detail: expect.stringMatching(/the host fine-name@example\.com, y, .* and 29 more/),
  })
  const text = JSON.stringify(result)
  for (const part of ['u001b', 'xxxxx', 'run_command']) expect(text).not.toContain(part)
})

test('a host that has too little in common for another reason is reported with the offers, too', async () => {
  const result = await dialOdd(await serve({ algorithms: { cipher: ['aes128-ctr'], hmac: ['hmac-md5'] } }))
  const detail = expect.stringMatching(/checksum: we offer .*, the host hmac-md5.*"algorithms: legacy" would not help/)
  expect(result).toMatchObject({ reason: 'kex_failed', detail })
})

/** An inventory over the test sshd: good hosts by the number, and bad ones of every kind. */
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { inject, onTestFinished } from 'vitest'

/** The text of an inventory file and of the known hosts that go with it. */
export type FleetFiles = { readonly inventory: string; readonly knownHosts: string }

/** For MUSTER_SECRET_DIRS: where the keys of the sshd are, and what tests make. */
export function secretDirs(): string {
  return [dirname(inject('sshd').keys.ed25519), tmpdir()].join(':')
}

/** Hosts `web01` … in the group `web`, each an address of its own of the one sshd. */
export function fleetFiles(web: number): FleetFiles {
  const { port, user, keys, knownHosts } = inject('sshd')
  const last = String(web).padStart(2, '0')
  const inventory = [
    `defaults: { user: ${user}, port: ${port}, identity_file: ${keys.ed25519} }`,
    'hosts:',
    `  "web[01-${last}]": { address: "127.0.1.[1-${web}]" }`,
    'groups:',
    `  web: "web[01-${last}]"`,
    '',
  ].join('\n')
  return { inventory, knownHosts }
}

/**
 * The same, and four hosts that cannot be reached: `refused` (nothing listens), `silent` (listens and says nothing),
 * `stranger` (its key is not known), `wrongkey` (does not take our key).
 */
export async function fleetFilesWithBadHosts(web: number): Promise<FleetFiles> {
  const { port } = inject('sshd')
  const { inventory, knownHosts } = fleetFiles(web)
  const bad = [
    '  refused: { address: 127.0.2.1, port: 1 }',
    `  silent: { address: 127.0.0.1, port: ${await silentPort()} }`,
    // Known hosts are listed by address; this one has none.
    `  stranger: { address: localhost, port: ${port} }`,
    `  wrongkey: { address: 127.0.2.2, identity_file: ${await strangeKeyFile()} }`,
  ].join('\n')
  return { inventory: inventory.replace('groups:', `${bad}\ngroups:`), knownHosts }
}

/** A good key that no host knows. */
async function strangeKeyFile(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-strange-key-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const { privateKey } = generateKeyPairSync('ed25519')
  const file = join(directory, 'key')
  await writeFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  return file
}

async function silentPort(): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server listens on no TCP port')
  return address.port
}

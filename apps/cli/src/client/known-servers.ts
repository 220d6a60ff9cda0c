/**
 * The servers that a person has logged in to: each in a file of its own in their state directory, with its address and
 * its key together, for its owner alone.
 */
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MusterError } from '@muster/contract'
import { readTrustedFile } from '@muster/runtime'
import { z } from 'zod'
import { type ServerAddress, serverUrl } from './server-url.ts'

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/

const ENDING = '.json'

const KnownServer = z.object({ url: z.string(), api_key: z.string(), allow_http: z.boolean().default(false) })

/** A stored key, and why files could not be looked into. */
export type KeyStoredWith = { readonly key: string | undefined; readonly unusable: readonly string[] }

/** A server to keep: `allowsHttp` if the person said that its network is theirs. */
export type NewServer = ServerAddress & { readonly allowsHttp: boolean }

/**
 * The server of this name.
 * @throws {MusterError} `invalid_config` when there is none, with the names that there are, or when its file is not to
 *   be trusted
 */
export async function knownServer(stateDir: string, name: string): Promise<ServerAddress> {
  const file = fileOf(stateDir, name)
  const text = await readTrustedFile(file)
  if (text === undefined) {
    const names = await knownNames(stateDir)
    const others = names.length === 0 ? '' : `; you have ${names.join(', ')}`
    throw new MusterError('invalid_config', `no server "${name}" is known${others}: muster login URL --name ${name}`)
  }
  const read = KnownServer.safeParse(parsed(text))
  if (!read.success) throw new MusterError('invalid_config', `${file} is damaged: log in again with muster login`)
  const { url, api_key, allow_http } = read.data
  return { url: serverUrl(url, { source: file, allowsHttp: allow_http }), apiKey: api_key }
}

/**
 * The key that was stored with this very address; undefined when there is none. A file that cannot be used is as if it
 * were not there: this command does not name it, and its key may be for another server.
 */
export async function keyStoredWith(stateDir: string, url: string): Promise<KeyStoredWith> {
  const unusable: string[] = []
  for (const name of await knownNames(stateDir)) {
    try {
      const server = await knownServer(stateDir, name)
      if (server.url === url) return { key: server.apiKey, unusable }
    } catch (error) {
      if (!(error instanceof MusterError)) throw error
      unusable.push(error.message)
    }
  }
  return { key: undefined, unusable }
}

/**
 * The address that is kept under this name; undefined when there is none, or its file cannot be used.
 * @throws {MusterError} `invalid_config` when it is no name
 */
export async function addressOf(stateDir: string, name: string): Promise<string | undefined> {
  fileOf(stateDir, name)
  return await knownServer(stateDir, name).then(
    ({ url }) => url,
    () => undefined,
  )
}

/** The names of all servers. */
export async function knownNames(stateDir: string): Promise<string[]> {
  const files = await readdir(directoryOf(stateDir)).catch(() => [])
  const names = files.filter((file) => file.endsWith(ENDING)).map((file) => file.slice(0, -ENDING.length))
  return names.filter((name) => NAME.test(name)).toSorted()
}

/** Keeps a server, whole or not at all, in place of another one of this name. Answers the path of its file. */
export async function keepServer(stateDir: string, name: string, server: NewServer): Promise<string> {
  const file = fileOf(stateDir, name)
  await mkdir(directoryOf(stateDir), { recursive: true, mode: 0o700 })
  const draft = `${file}.${process.pid}`
  const content = { url: server.url, api_key: server.apiKey, allow_http: server.allowsHttp }
  await writeFile(draft, `${JSON.stringify(content)}\n`, { mode: 0o600, flag: 'wx' })
  await rename(draft, file)
  return file
}

/**
 * Forgets a server and its key.
 * @throws {MusterError} `invalid_config` when there is none of this name
 */
export async function forgetServer(stateDir: string, name: string): Promise<void> {
  const file = fileOf(stateDir, name)
  if (!(await knownNames(stateDir)).includes(name)) await knownServer(stateDir, name)
  await rm(file, { force: true })
}

function directoryOf(stateDir: string): string {
  return join(stateDir, 'servers')
}

function fileOf(stateDir: string, name: string): string {
  if (NAME.test(name)) return join(directoryOf(stateDir), `${name}${ENDING}`)
  const form = 'letters, digits, ".", "_" and "-", beginning with a letter or digit'
  throw new MusterError('invalid_config', `${JSON.stringify(name)} is no name of a server; accepted: ${form}`)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // JSON has no undefined, so this stands for no value.
    return undefined
  }
}

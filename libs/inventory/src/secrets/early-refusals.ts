/**
 * Tells of files and programs that a worker would refuse before a host needs them. Reads no secret, and refuses
 * nothing itself. Only a worker can tell: the server need not have these files.
 */
import { foldHosts } from '@muster/contract'
import type { InventoryHost } from '../hosts/inventory-host.ts'
import { type FileNeed, refusalOf } from './confined-file.ts'
import { KEY_FILE, type KeyRef } from './key.ts'
import { findNamedProgram } from './named-program.ts'
import { SECRET_FILE } from './secret.ts'
import type { SecretDirectories } from './secret-directories.ts'

/** An inventory with more files than this is told of the first ones only. */
const FILES_LIMIT = 1_000

/** One sentence for each file that the worker refuses now, with the hosts that name it. */
export async function earlyRefusals(
  hosts: Iterable<InventoryHost>,
  directories: SecretDirectories,
  programs: readonly string[],
): Promise<string[]> {
  const files = new Map<string, { need: FileNeed | 'program'; path: string; names: string[] }>()
  for (const host of hosts) {
    for (const [path, need] of filesOf(host)) {
      const key = `${need === 'program'} ${path}`
      const known = files.get(key)
      if (known !== undefined) known.names.push(host.name)
      else if (files.size < FILES_LIMIT) files.set(key, { need, path, names: [host.name] })
    }
  }
  const told: string[] = []
  for (const { need, path, names } of files.values()) {
    const refusal = need === 'program' ? await programRefusal(path, programs) : await refusalOf(path, directories, need)
    if (refusal !== undefined) told.push(`${foldHosts([...new Set(names)])}: ${refusal}`)
  }
  return told
}

type Named = readonly [string, FileNeed | 'program']

function filesOf({ credentials, sudoPassword }: InventoryHost): Named[] {
  const secrets = credentials.flatMap((credential) => {
    const named = credential.kind === 'run_certificate' ? credential.by : credential
    const own = 'secret' in named ? [named.secret] : named.kind === 'command' ? [named] : []
    return 'passphrase' in named && named.passphrase !== undefined ? [...own, named.passphrase] : own
  })
  if (sudoPassword !== undefined) secrets.push(sudoPassword)
  return [
    ...credentials.flatMap((one): Named[] =>
      one.kind === 'key' && one.isOfOpenSsh !== true ? [[one.identityFile, KEY_FILE], ...certificateOf(one)] : [],
    ),
    ...credentials.flatMap((one): Named[] =>
      one.kind === 'run_certificate' && one.by.kind === 'authority' ? [[one.by.identityFile, KEY_FILE]] : [],
    ),
    ...secrets.flatMap((secret): Named[] => {
      if (secret.kind === 'command') return [[secret.argv[0], 'program']]
      return secret.kind === 'file' ? [[secret.path, SECRET_FILE]] : []
    }),
  ]
}

function certificateOf({ certificateFile }: KeyRef): Named[] {
  return certificateFile === undefined ? [] : [[certificateFile, KEY_FILE]]
}

async function programRefusal(path: string, programs: readonly string[]): Promise<string | undefined> {
  return await findNamedProgram('credential command', path, programs).then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
}

/**
 * Tells of files that a worker would refuse before a host needs them. Reads no secret, and refuses nothing itself. Only
 * a worker can tell: the server need not have these files.
 */
import { foldHosts } from '@muster/contract'
import type { InventoryHost } from '../hosts/inventory-host.ts'
import { type FileNeed, refusalOf } from './confined-file.ts'
import { KEY_FILE } from './key.ts'
import { SECRET_FILE } from './secret.ts'
import type { SecretDirectories } from './secret-directories.ts'

/** An inventory with more files than this is told of the first ones only. */
const FILES_LIMIT = 1_000

/** One sentence for each file that the worker refuses now, with the hosts that name it. */
export async function earlyRefusals(hosts: Iterable<InventoryHost>, directories: SecretDirectories): Promise<string[]> {
  const files = new Map<string, { need: FileNeed; names: string[] }>()
  for (const host of hosts) {
    for (const [path, need] of filesOf(host)) {
      const known = files.get(path)
      if (known !== undefined) known.names.push(host.name)
      else if (files.size < FILES_LIMIT) files.set(path, { need, names: [host.name] })
    }
  }
  const told: string[] = []
  for (const [path, { need, names }] of files) {
    const refusal = await refusalOf(path, directories, need)
    if (refusal !== undefined) told.push(`${foldHosts([...new Set(names)])}: ${refusal}`)
  }
  return told
}

function filesOf({ credentials, sudoPassword }: InventoryHost): (readonly [string, FileNeed])[] {
  const secrets = credentials.flatMap((credential) => {
    if (credential.kind === 'password') return [credential.secret]
    return credential.kind === 'key' && credential.passphrase !== undefined ? [credential.passphrase] : []
  })
  if (sudoPassword !== undefined) secrets.push(sudoPassword)
  return [
    ...credentials.flatMap((one) =>
      one.kind === 'key' && one.isOfOpenSsh !== true ? [[one.identityFile, KEY_FILE] as const] : [],
    ),
    ...secrets.flatMap((secret) => (secret.kind === 'file' ? [[secret.path, SECRET_FILE] as const] : [])),
  ]
}

/** How the keys that a host shows stand to those that known_hosts list. Decides nothing for a person. */
import { type KnownHosts, shellWord } from '@muster/contract'
import type { ShownKey } from './scan-host.ts'

/** `detail` says why a host must not be trusted, and what to do. */
export type Standing =
  | { readonly kind: 'known'; readonly fingerprint: string }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'changed' | 'revoked'; readonly detail: string }

/**
 * The standing of a host. A key of a type that is listed with another key is a change, whatever its other keys are, and
 * so is a host of whose listed keys none is shown. `names`: the first is the one to list it under.
 */
export function standingOf(known: KnownHosts, names: readonly string[], keys: readonly ShownKey[]): Standing {
  const [name = ''] = names
  const file = known.files[0] ?? ''
  const checked = keys.map((key) => ({ ...key, standing: known.check(name, key.key) }))
  const revoked = checked.find(({ standing }) => standing === 'revoked')
  if (revoked !== undefined) {
    const marked = `which is marked @revoked for ${name}`
    return { kind: 'revoked', detail: `it shows the key ${revoked.fingerprint}, ${marked}: give the host a new key` }
  }
  const types = known.knownTypes(name)
  const same = checked.find(({ standing }) => standing === 'known')
  const other = checked.find(({ type, standing }) => standing === 'changed' && types.includes(type))
  if (types.length > 0 && (other !== undefined || same === undefined)) {
    const shown = (other ?? checked[0])?.fingerprint
    const causes = 'it was reinstalled, or someone is in between'
    const remedy = `ssh-keygen -R ${shellWord(name)} -f ${shellWord(file)}`
    const detail = `it shows ${shown}, but another key is listed for ${name} (${types.join(', ')}): ${causes}`
    return { kind: 'changed', detail: `${detail}. If the change is expected: ${remedy}, then this command again` }
  }
  // As for ssh, a line without the port counts where none has it.
  const listed = same ?? keys.find(({ key }) => names.some((one) => known.check(one, key) === 'known'))
  return listed === undefined ? { kind: 'unknown' } : { kind: 'known', fingerprint: listed.fingerprint }
}

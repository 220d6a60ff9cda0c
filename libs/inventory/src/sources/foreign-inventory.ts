/**
 * Recognises an inventory of another tool that was given as `inventory.yaml`, to report this one cause instead of a
 * mistake in every line. It converts nothing, and quotes nothing: such files often hold passwords.
 */
import type { YamlEntry, YamlFault } from './yaml-entries.ts'

/** A line such as `[web]` or `[web:children]`. */
const INI_SECTION = /^\s*\[[^[\]]+\]\s*([#;].*)?$/
const INI_VARIABLE = /\bansible_\w+\s*=/
const PLAIN_NAME = /^\s*\w[\w.@:[\]-]*\s*$/
const COMMENT = /^\s*([#;].*)?$/
const ANSIBLE_FIELD = /^\s*["']?ansible_\w+["']?\s*:/

const SAME = [
  'in YAML the host "web01 ansible_host=10.0.0.11 ansible_user=deploy" of the group "web" is',
  'hosts: { web01: { address: 10.0.0.11, user: deploy } } and groups: { web: "web01" };',
  'ansible_port is port, ansible_ssh_private_key_file is identity_file, and a group of groups is "@web,@db"',
].join(' ')

/** Our names for fields of Ansible. */
const FIELDS: ReadonlyMap<string, string> = new Map([
  ['ansible_host', 'address'],
  ['ansible_ssh_host', 'address'],
  ['ansible_port', 'port'],
  ['ansible_ssh_port', 'port'],
  ['ansible_user', 'user'],
  ['ansible_ssh_user', 'user'],
  ['ansible_ssh_private_key_file', 'identity_file'],
  ['ansible_private_key_file', 'identity_file'],
  ['ansible_password', 'password_file'],
  ['ansible_ssh_pass', 'password_file'],
  ['ansible_become_password', 'sudo_password_file'],
  ['ansible_become_pass', 'sudo_password_file'],
])

/** Our name for a field of another tool; undefined when the field is not known. */
export function nameHere(field: string): string | undefined {
  return FIELDS.get(field)
}

/**
 * The kind of foreign inventory, and a line that gives it away; undefined when the text is one of ours. `entries` are
 * the sections of the text, none when it is not YAML.
 */
export function recogniseForeign(
  text: string,
  { entries, isBroken }: { readonly entries: readonly YamlEntry[]; readonly isBroken: boolean },
): YamlFault | undefined {
  const lines = text.split('\n')
  const lineOf = (pattern: RegExp) => lines.findIndex((line) => pattern.test(line)) + 1
  if (isBroken) {
    // A single such line may just as well be a list in YAML.
    const isAlone = lines.filter((line) => !COMMENT.test(line)).length === 1
    const ini = (isAlone ? 0 : lineOf(INI_SECTION)) || lineOf(INI_VARIABLE)
    if (ini > 0) return { line: ini, text: `this is an INI inventory, as Ansible has; ${SAME}` }
    const vars = lineOf(ANSIBLE_FIELD)
    if (vars > 0) return { line: vars, text: `this is an inventory of Ansible; ${SAME}` }
    const isList = lines.every((line) => COMMENT.test(line) || PLAIN_NAME.test(line))
    if (!isList) return undefined
    const first = lines.findIndex((line) => !COMMENT.test(line)) + 1
    return { line: first, text: 'this is a plain list of hosts; write each below "hosts:", as "web01: {}"' }
  }
  const group = entries.find(({ key, entries: fields }) => {
    const isOurs = key === 'defaults' || key === 'hosts' || key === 'groups'
    return !isOurs && fields()?.some(({ key: field }) => field === 'hosts' || field === 'children')
  })
  return group && { line: group.line, text: `this is an inventory of Ansible; ${SAME}` }
}

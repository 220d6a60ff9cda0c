/**
 * Inventories of other tools instead of our own: one mistake each, which says what the file is and how to write it.
 */
import { MusterError } from '@muster/contract'
import { parseInventory } from '@muster/inventory'
import { describe, expect, it } from 'vitest'

const defaults = { home: '/home/me', user: 'me', credentials: [] }

function errorOf(text: string): string {
  try {
    parseInventory(text, 'inventory.yaml', defaults)
  } catch (error) {
    if (error instanceof MusterError) return error.message
    throw error
  }
  return ''
}

const SAME = 'hosts: { web01: { address: 10.0.0.11, user: deploy } } and groups: { web: "web01" }'

describe('an inventory of another tool is reported as what it is, once, without any of its values:', () => {
  it.each<[string, string, number, string]>([
    ['INI', '[web]\nweb01 ansible_host=10.0.0.11 ansible_password=hunter2\n', 1, 'this is an INI inventory'],
    ['INI with bare names', '# ours\n\n[web]\nweb01\nweb02\n\n[db]\ndb01\n', 3, 'this is an INI inventory'],
    ['INI with children', '[all:children]\nweb\n\n[web:vars]\nansible_user=x\n', 1, 'this is an INI inventory'],
    ['INI without a section', 'web01 ansible_host=10.0.0.11 ansible_ssh_pass=hunter2\n', 1, 'this is an INI inventory'],
    ['INI with Windows line ends', '[web]\r\nweb01 ansible_host=10.0.0.11\r\n', 1, 'this is an INI inventory'],
    ['INI with ranges', 'mail.example.com\n[web]\nwww[01:50].example.com ; many\n', 2, 'this is an INI inventory'],
    [
      'YAML',
      'all:\n  children:\n    web:\n      hosts:\n        web01: { ansible_host: 10.0.0.11 }\n',
      1,
      'of Ansible',
    ],
    ['YAML with hosts', '---\nweb:\n  hosts:\n    web01:\n      ansible_password: hunter2\n', 2, 'of Ansible'],
    ['YAML with a vault', 'all:\n  vars:\n    ansible_password: !vault |\n      hunter2\n', 3, 'of Ansible'],
    ['JSON', '{ "_meta": { "hostvars": {} }, "all": { "children": ["web"] } }', 1, 'of Ansible'],
  ])('Ansible %s', (_title, text, line, what) => {
    const error = errorOf(text)
    expect(error).toMatch(new RegExp(`^the inventory has one mistake\ninventory.yaml:${line}: `))
    expect(error).toContain(what)
    expect(error).toContain(SAME)
    expect(error).not.toContain('hunter2')
  })

  it('a list of names', () => {
    const told = 'inventory.yaml:2: this is a plain list of hosts; write each below "hosts:", as "web01: {}"'
    expect(errorOf('# ours\nweb01\nweb02.example.com\ndeploy@10.0.0.3:22\n')).toContain(told)
  })

  it('what it is told to write is read', () => {
    const text = 'hosts: { web01: { address: 10.0.0.11, user: deploy } }\ngroups: { web: "web01" }\n'
    expect(parseInventory(text, 'inventory.yaml', defaults).resolve('@web')).toEqual(['web01'])
  })

  it('a field of Ansible in our own file, with its name here', () => {
    const error = errorOf('hosts:\n  web01: { ansible_host: 10.0.0.1, ansible_port: 22, ansible_ssh_pass: hunter2 }\n')
    expect(error).toContain('2: hosts.web01.ansible_host: unknown field; here it is called "address"')
    expect(error).toContain('2: hosts.web01.ansible_port: unknown field; here it is called "port"')
    expect(error).toContain('2: hosts.web01.ansible_ssh_pass: unknown field; here it is called "password_file"')
    expect(error).not.toContain('hunter2')
  })
})

describe('our own file with a mistake is not taken for one of another tool', () => {
  it.each([
    ['hosts:\n  web01: { aliases: [a\n'],
    ['hosts: { web01: {} }\nwebs: { web: "web01" }\n'],
    ['hosts:\n  web01: { address: 10.0.0.1\n'],
  ])('%j', (text) => {
    expect(errorOf(text)).toContain('the inventory has')
    expect(errorOf(text)).not.toMatch(/Ansible|plain list/)
  })
})

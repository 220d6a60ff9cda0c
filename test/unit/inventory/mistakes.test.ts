/** What is wrong with an inventory file: one table of mistakes with their lines, and what no mistake may show. */
import { MusterError } from '@muster/contract'
import { parseInventory } from '@muster/inventory'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const defaults = { home: '/home/me', user: 'me', credentials: [] }

/** The lines of the error below its first, which is the count. */
function mistakesIn(text: string): string[] {
  try {
    parseInventory(text, 'inventory.yaml', defaults)
  } catch (error) {
    if (!(error instanceof MusterError)) throw error
    expect(error.code).toBe('invalid_inventory')
    return error.message.split('\n').slice(1)
  }
  return []
}

const host = (fields: string) => `hosts:\n  web01: ${fields}\n`
const group = (value: string) => `hosts:\n  web01: {}\n  web02: {}\ngroups:\n  web: ${value}\n`

describe('a mistake is reported with its file, line, field and remedy', () => {
  it.each([
    [host('{ prot: 22 }'), '2: hosts.web01.prot: unknown field; did you mean "port"?'],
    ['hosts:\n  web01:\n    user: a\n    prot: 22\n', '4: hosts.web01.prot: unknown field; did you mean "port"?'],
    [
      host('{ zzzzzz: 1 }'),
      '2: hosts.web01.zzzzzz: unknown field; known are address, aliases, user, port, jump, ' +
        'host_key_alias, algorithms, labels, disabled, identity_file, certificate_file, certificate, ' +
        'certificate_command, certificate_authority_file, passphrase_file, passphrase_env, password_file, ' +
        'password_env, sudo_password_file, sudo_password_env, credential_command, ' +
        'credential_kinds, credential_ttl_s, agent',
    ],
    ['defaults: { usr: a }\nhosts: { a: }', '1: defaults.usr: unknown field; did you mean "user"?'],
    ['defaults: { port: "[1-2]" }', '1: defaults.port: one port for all hosts, not a range'],
    ['host: {}\n', '1: host: unknown section; did you mean "hosts"?'],
    [host('{ port: 70000 }'), '2: hosts.web01.port: expected a port from 1 to 65535, not "70000"'],
    [host('{ port: 0x16 }'), '2: hosts.web01.port: expected a port from 1 to 65535, not "0x16"'],
    [host('{ port: [22] }'), '2: hosts.web01.port: expected text'],
    [host('{ user: }'), '2: hosts.web01.user: has no value'],
    [host('{ user: a b }'), '2: hosts.web01.user: expected a user name without spaces and ":"'],
    [
      host('{ address: me@web }'),
      '2: hosts.web01.address: expected a host name or an IP address; the user has a field of its own',
    ],
    [host('{ address: "web:22" }'), '2: hosts.web01.address: expected "web"; the port has a field of its own'],
    [
      host('{ address: 10.0.0.256 }'),
      '2: hosts.web01.address: expected a host name or an IP address, not "10.0.0.256"',
    ],
    [
      host('{ address: -oProxyCommand=x }'),
      '2: hosts.web01.address: expected a host name or an IP address, not "-oProxyCommand=x"',
    ],
    [host('{ address: "n[3-1]" }'), '2: hosts.web01.address: expected a range that goes up at position 2, not "3-1]"'],
    [
      'hosts:\n  "n[1-3]": { address: "a[1-2]" }\n',
      '2: hosts.n[1-3].address: a range of 2 for 3 hosts; ranges pair up in order, so the counts must be equal',
    ],
    [
      'hosts:\n  "n[1-3]": { address: a, port: "[1-2]" }\n',
      '2: hosts.n[1-3].port: a range of 2 for 3 hosts; ranges pair up in order, so the counts must be equal',
    ],
    [
      host('{ address: "a[1-2]" }'),
      '2: hosts.web01.address: a range of 2 for one host; ranges pair up in order, so the counts must be equal',
    ],
    [
      'hosts:\n  "n[1-3]": { address: a }\n',
      '2: hosts.n[1-3]: n[2-3] are the same machine as n1 at inventory.yaml:2: hosts.n[1-3], for the ' +
        'same user, so every command would run there more than once; keep n1 and give it the other ' +
        'name: aliases: ["n[2-3]"]',
    ],
    ['hosts:\n  "n[1-": {}\n', '2: hosts.n[1-: expected a number at position 4, not the end'],
    ['hosts:\n  "01": {}\n', '2: hosts.01: give an address: "01" is not a host name'],
    [
      'hosts:\n  web_[1-2]: {}\n  -x: {}\n',
      '3: hosts.-x: a host name has letters, digits, ".", "_" and "-" only, and begins with a letter or digit',
    ],
    ['hosts:\n  a: {}\n  a: {}\n', '3: the same key stands twice in this map'],
    [host('{ user: a, user: b }'), '2: the same key stands twice in this map'],
    [
      'hosts:\n  "n[1-3]": {}\n  "n[2-4]": {}\n',
      '3: hosts.n[2-4]: n[2-3] is already defined at inventory.yaml:2: hosts.n[1-3]',
    ],
    [host('{ jump: bastion }'), '2: hosts.web01.jump: there is no host "bastion" in the inventory to jump through'],
    [
      'hosts:\n  "n[1-100]": { jump: bation }\n  bastion: {}\n',
      '2: hosts.n[1-100].jump: there is no host "bation" in the inventory to jump through; did you mean "bastion"?',
    ],
    [host('{ jump: web01 }'), '2: hosts.web01.jump: the jump hosts go in a circle: web01 → web01'],
    [host('{ labels: env }'), '2: hosts.web01.labels: expected labels such as { env: prod }'],
    [host('{ labels: { env: "a,b" } }'), '2: hosts.web01.labels.env: a label value has none of , { } = ! & | in it'],
    [host('{ labels: { env: "a|b" } }'), '2: hosts.web01.labels.env: a label value has none of , { } = ! & | in it'],
    [host('{ disabled: no }'), '2: hosts.web01.disabled: expected true, false, or why in words'],
    [host('{ disabled: "a\\nb" }'), '2: hosts.web01.disabled: expected one line of text'],
    [
      host('{ identity_file: ~root/key }'),
      '2: hosts.web01.identity_file: only ~/ is known, not the home of another user',
    ],
    [
      host('{ algorithms: old }'),
      "2: hosts.web01.algorithms: expected legacy; without it, today's algorithms are used",
    ],
    [host('{ agent: false }'), '2: hosts.web01.agent: expected true; to do without the agent, leave it out'],
    [
      host('{ password: x }'),
      '2: hosts.web01.password: a secret has no place in this file; use password_file or password_env',
    ],
    [
      host('{ identity_file: k, passphrase: x }'),
      '2: hosts.web01.passphrase: a secret has no place in this file; use passphrase_file or passphrase_env',
    ],
    [
      host('{ sudo_password: x }'),
      '2: hosts.web01.sudo_password: a secret has no place in this file; use sudo_password_file or sudo_password_env',
    ],
    [
      host('{ sudo_password_file: a, sudo_password_env: B }'),
      '2: hosts.web01.sudo_password_env: the same secret as sudo_password_file; give one of the two',
    ],
    ...['MUSTER_API_KEY', 'REDIS_URL', 'SSH_SERVERS'].map((name) => [
      host(`{ password_env: ${name} }`),
      "2: hosts.web01.password_env: this is one of Muster's own variables, which must not be sent to a host; " +
        'give the secret a variable of its own',
    ]),
    [
      host('{ password_file: a, password_env: B }'),
      '2: hosts.web01.password_env: the same secret as password_file; give one of the two',
    ],
    [
      host('{ passphrase_env: B }'),
      '2: hosts.web01.passphrase_env: a passphrase of which key? give identity_file beside it',
    ],
    [host('10.0.0.1'), '2: hosts.web01: expected fields, such as { address: 10.0.0.11 }'],
    ['hosts: [a, b]', '1: hosts: expected names with their values, one host a line'],
    [group('web03'), '5: groups.web: no such host in the inventory: web03; the nearest are web01, web02'],
    [group('"web[01-12]"'), '5: groups.web: no such host in the inventory: web[03-12]; the nearest are web01, web02'],
    [group('"@wep"'), '5: groups.web: no such group in the inventory: @wep; did you mean "@web"?'],
    [group('"@web"'), '5: groups.web: a group cannot contain itself: @web → @web'],
    [
      group('"web01,,web02"'),
      '5: groups.web: expected a host, user@host, a range such as web[01-12], an @group, ' +
        'labels such as {env=prod} or "(" at position 6, not ",web02"',
    ],
    [group('{env=prod}'), '5: groups.web: expected text; put labels in quotes: "{env=prod}"'],
    [group('"{env=prod,}"'), '5: groups.web: expected the name of a label at position 10, not "}"'],
    [group('"db*"'), '5: groups.web: no host in the inventory matches db*'],
    ['[a]', '1: expected a map with the sections defaults, hosts and groups'],
    ['hosts:\n  a: *b\n', '2: anchors and aliases (& and *) are not read; write the value out'],
    ['hosts:\n\ta: {}\n', '2: tabs are not allowed as indentation'],
    ['hosts:\n  a: {}\n---\nhosts: {}\n', '3: source contains multiple documents; please use YAML.parseAllDocuments()'],
  ])('%j', (text, expected) => {
    expect(mistakesIn(text)).toContain(`inventory.yaml:${expected}`)
  })
})

it('all mistakes are reported together, from top to bottom', () => {
  const text = 'defaults: { prot: 1 }\nhosts:\n  a: { jump: b, port: x }\n  c: { usr: d }\ngroups:\n  e: "f"\n'
  expect(mistakesIn(text).map((mistake) => mistake.split(': ').slice(0, 2).join(' '))).toEqual([
    'inventory.yaml:1 defaults.prot',
    'inventory.yaml:3 hosts.a.port',
    'inventory.yaml:3 hosts.a.jump',
    'inventory.yaml:4 hosts.c.usr',
    'inventory.yaml:6 groups.e',
  ])
})

it('a range with ten thousand hosts makes one mistake, not ten thousand', () => {
  expect(mistakesIn('hosts:\n  "n[1-10000]": { jump: gone }\n')).toHaveLength(1)
})

it('a circle of groups is reported once, with the way round', () => {
  const circles = mistakesIn('hosts: { h: }\ngroups:\n  a: "@b"\n  b: "@c"\n  c: "@a,h"\n')
  expect(circles).toEqual(['inventory.yaml:3: groups.a: a group cannot contain itself: @a → @b → @c → @a'])
})

describe('no mistake shows a secret that stands where none belongs', () => {
  it.each([
    host('{ password: hunter2 }'),
    host('{ password:hunter2 }'),
    host('{ password hunter2: x }'),
    host('{ password: !hunter2 x }'),
    host('{ password: *hunter2 }'),
    host('{ password: "hunter2\\q" }'),
    host('{ password: [hunter2] }'),
    host('{ password: { hunter2: 1 } }'),
    host('{ password_env: "hunter2!" }'),
    host('{ password_file: [hunter2] }'),
    host('{ user: "root:hunter2" }'),
    host('{ address: "root:hunter2@web" }'),
    host('{ jump: "root:hunter2@web" }'),
    host('{ labels: { "pass:hunter2": x } }'),
    'hosts:\n  web01: {}\n  password:hunter2:\n',
    'hosts:\n  web01: {}\n  "password:hunter2[": {}\n',
    'password:hunter2: x\n',
    'hosts:\n  web01:\n    password: hunter2\n   user: hunter2\n',
    'hosts: |hunter2\n',
    '%hunter2\n---\nhosts: {}\n',
  ])('%j', (text) => {
    const mistakes = mistakesIn(text)
    expect(mistakes).not.toEqual([])
    expect(mistakes.join('\n')).not.toContain('hunter2')
  })
})

it('any text is either an inventory or an invalid_inventory error', () => {
  const scraps = fc.constantFrom(
    'hosts',
    'groups',
    'defaults',
    ':',
    ' ',
    '\n',
    '  ',
    '{',
    '}',
    '[',
    ']',
    '"',
    '-',
    '&a',
    '*a',
  )
  const text = fc.oneof(
    fc.string(),
    fc.array(fc.oneof(scraps, fc.string({ maxLength: 3 }))).map((parts) => parts.join('')),
  )
  fc.assert(
    fc.property(text, (scrap) => {
      mistakesIn(scrap)
    }),
  )
})

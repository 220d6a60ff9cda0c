/**
 * One machine is one host: what is refused or made an alias, however its address is written, and what aliases stand
 * for.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MusterError } from '@muster/contract'
import { parseInventory } from '@muster/inventory'
import { beforeEach, describe, expect, it } from 'vitest'
import type { InventoryOptions } from '../../../libs/inventory/src/inventory-source.ts'
import { openTestInventory, temporaryDirectory } from '../../support/inventory/test-inventory.ts'

const parse = (text: string) => parseInventory(text, 'i.yaml', { home: '/home/me', user: 'me', credentials: [] })

/** The lines of the error below its first, which is the count. */
function mistakesIn(text: string): string[] {
  try {
    parse(text)
  } catch (error) {
    if (!(error instanceof MusterError)) throw error
    return error.message.split('\n').slice(1)
  }
  return []
}

const hosts = (...lines: string[]) => `hosts:\n${lines.map((line) => `  ${line}\n`).join('')}`

describe('two names of one machine and one user are refused, with both lines and what to do', () => {
  it.each([
    ['addresses', '{ address: 10.0.0.1 }', '{ address: 10.0.0.1 }'],
    ['the default port', '{ address: 10.0.0.1 }', '{ address: 10.0.0.1, port: 22 }'],
    ['the default user', '{ address: 10.0.0.1 }', '{ address: 10.0.0.1, user: me }'],
    ['capitals', '{ address: web.example.com }', '{ address: WEB.Example.COM }'],
    ['the dot of the root', '{ address: web.example.com }', '{ address: web.example.com. }'],
    ['localhost', '{ address: 127.0.0.1 }', '{ address: localhost }'],
    ['an address that defaults to the name', '{}', '{ address: a }'],
    ['::1', '{ address: "::1" }', '{ address: "0:0:0:0:0:0:0:1" }'],
    ['brackets', '{ address: "2001:db8::5" }', '{ address: "[2001:DB8:0:0::0005]" }'],
    ['an IPv4 address mapped into IPv6', '{ address: 10.0.0.1 }', '{ address: "::ffff:10.0.0.1" }'],
    ['the same in hexadecimal', '{ address: 10.0.0.1 }', '{ address: "0:0:0:0:0:FFFF:0a00:0001" }'],
    ['a zone', '{ address: "fe80::1%eth0" }', '{ address: "fe80:0::1%eth0" }'],
    ['one jump host', '{ address: x, jump: j }', '{ address: x, jump: j }'],
    ['a jump host under its alias', '{ address: x, jump: j }', '{ address: x, jump: jj }'],
    ['jump hosts that are one machine under two users', '{ address: x, jump: j }', '{ address: x, jump: jroot }'],
    ['a host key alias', '{ address: x }', '{ address: x, host_key_alias: y }'],
    ['labels', '{ address: x }', '{ address: x, labels: { env: prod } }'],
    ['a host that is disabled', '{ address: x }', '{ address: x, disabled: true }'],
  ])('%s', (_, one, other) => {
    const jumps = ['j: { address: 203.0.113.7, aliases: jj }', 'jroot: { address: 203.0.113.7, user: root }']
    expect(mistakesIn(hosts(...jumps, `a: ${one}`, `b: ${other}`))).toEqual([
      'i.yaml:5: hosts.b: b is the same machine as a at i.yaml:4: hosts.a, for the same user, so every command would ' +
        'run there more than once; keep a and give it the other name: aliases: [b]',
    ])
  })

  it.each([
    ['another port', '{ address: x }', '{ address: x, port: 2222 }'],
    ['another user', '{ address: x }', '{ address: x, user: root }'],
    ['a user in other capitals', '{ address: x, user: Root }', '{ address: x, user: root }'],
    ['another way there', '{ address: 10.0.0.1 }', '{ address: 10.0.0.1, jump: j }'],
    ['another jump host', '{ address: 10.0.0.1, jump: k }', '{ address: 10.0.0.1, jump: j }'],
    ['another zone', '{ address: "fe80::1%eth0" }', '{ address: "fe80::1%eth1" }'],
    ['IPv4 and IPv6', '{ address: 127.0.0.1 }', '{ address: "::1" }'],
  ])('not with %s', (_, one, other) => {
    const inventory = parse(
      hosts('j: { address: 203.0.113.7 }', 'k: { address: 203.0.113.8 }', `a: ${one}`, `b: ${other}`),
    )
    expect(inventory.resolve('a,b')).toEqual(['a', 'b'])
  })

  it('in ranges, each pair of lines once', () => {
    expect(
      mistakesIn(
        hosts(
          '"web[01-40]": { address: "10.0.0.[1-40]" }',
          '"w[1-20]": { address: "10.0.0.[21-40]" }',
          'x: { address: 10.0.0.7 }',
        ),
      ),
    ).toEqual([
      expect.stringContaining(
        'i.yaml:3: hosts.w[1-20]: w[1-20] are the same machines as web[21-40] at i.yaml:2: hosts.web[01-40]',
      ),
      expect.stringContaining('i.yaml:4: hosts.x: x is the same machine as web07 at i.yaml:2: hosts.web[01-40]'),
    ])
  })

  it('within one range, whose addresses come twice', () => {
    const [mistake, ...more] = mistakesIn(hosts('"n[1-4]": { address: "10.0.0.[1-2,1-2]" }'))
    expect(mistake).toMatch(
      /^i\.yaml:2: hosts\.n\[1-4\]: n\[3-4\] are the same machines as n\[1-2\] at i\.yaml:2: hosts\.n\[1-4\]/,
    )
    expect(more).toEqual([])
  })

  it('and three names of one machine are two mistakes, each with the first', () => {
    const mistakes = mistakesIn(hosts('a: { address: x }', 'b: { address: x }', 'x:'))
    expect(mistakes.map((text) => text.slice(0, 48))).toEqual([
      'i.yaml:3: hosts.b: b is the same machine as a at',
      'i.yaml:4: hosts.x: x is the same machine as a at',
    ])
  })

  it('nothing is said of a host whose own fields are wrong: it may be meant otherwise', () => {
    expect(mistakesIn(hosts('a: { address: x }', 'b: { address: x, port: 99999 }'))).toEqual([
      'i.yaml:3: hosts.b.port: expected a port from 1 to 65535, not "99999"',
    ])
  })

  it.each(['0x7f.0.0.1', '0x7f000001', '017700000001'])(
    'numbers that only resolvers read are no address: %s',
    (address) => {
      expect(mistakesIn(hosts(`a: { address: "${address}" }`))).toEqual([
        `i.yaml:2: hosts.a.address: expected a host name or an IP address, not "${address}"`,
      ])
    },
  )
})

describe('users of one machine', () => {
  it('are hosts of their own with one machine, however they are written', () => {
    const { hosts: byName } = parse(
      hosts('j:', 'web: { address: "::1", jump: j }', 'web-root: { address: "0::1", jump: j, port: 22, user: root }'),
    )
    expect([...byName.values()].map(({ machine }) => machine)).toEqual(['j', 'web', 'web'])
  })
})

describe('aliases', () => {
  const FLEET = `
hosts:
  web01: { address: 10.0.0.11, aliases: [www, w1], labels: { env: prod } }
  "n[01-03]": { address: "10.1.0.[1-3]", aliases: "node[1-3]", jump: gate }
  "m[1-2]":
    address: "10.2.0.[1-2]"
    aliases: ["x[1-2]", "y[3-4]"]
  bastion: { aliases: ["gate", "gate[7-8]"] }
groups:
  web: "www,n*!node2"
`

  it('stand for their host in expressions, groups and jump hosts, which know it by its name', () => {
    const inventory = parse(FLEET)
    expect(inventory.resolve('www,web01,w1')).toEqual(['web01'])
    expect(inventory.resolve('node[1-3]!node1')).toEqual(['n02', 'n03'])
    expect(inventory.resolve('y3,x2')).toEqual(['m1', 'm2'])
    expect(inventory.resolve('gate8&@*')).toEqual(['bastion'])
    expect(inventory.groups.get('web')).toEqual(['web01', 'n01', 'n03'])
    expect(inventory.hosts.get('n02')).toMatchObject({ aliases: ['node2'], jump: 'bastion', groups: [] })
    expect(inventory.hosts.get('bastion')?.aliases).toEqual(['gate', 'gate7', 'gate8'])
    expect([...inventory.hosts.keys()]).toEqual(['web01', 'n01', 'n02', 'n03', 'm1', 'm2', 'bastion'])
    expect([inventory.find('www')?.name, inventory.find('web01')?.name, inventory.find('web')]).toEqual([
      'web01',
      'web01',
      undefined,
    ])
  })

  it('are not what wildcards match', () => {
    const inventory = parse(FLEET)
    expect(inventory.resolve('w*')).toEqual(['web01'])
    expect(() => inventory.resolve('node*')).toThrow('no host in the inventory matches node*')
  })

  it('are known to a job that has their host, and to no other', () => {
    const inventory = parse(FLEET)
    expect(inventory.resolve('www,gone', { within: ['gone', 'web01'] })).toEqual(['web01', 'gone'])
    expect(() => inventory.resolve('node1', { within: ['web01'] })).toThrow('no such host in the job: node1')
    expect(
      inventory.resolve('www', { within: ['www', 'web01'] }),
      'a host that had the name when the job came',
    ).toEqual(['www'])
  })

  it('are suggested when a name is nearly theirs', () => {
    expect(() => parse(FLEET).resolve('wwww')).toThrow('no such host in the inventory: wwww; did you mean "www"?')
    expect(mistakesIn(hosts('a: { jump: gaet }', 'b: { aliases: gate }'))).toEqual([
      'i.yaml:2: hosts.a.jump: there is no host "gaet" in the inventory to jump through; did you mean "gate"?',
    ])
  })

  it.each([
    [
      'another host',
      hosts('a: { aliases: [b] }', 'b:'),
      'i.yaml:2: hosts.a.aliases: b is already defined at i.yaml:3: hosts.b',
    ],
    [
      'an alias',
      hosts('a: { aliases: [x] }', 'b: { aliases: x }'),
      'i.yaml:3: hosts.b.aliases: x is already defined at i.yaml:2: hosts.a.aliases',
    ],
    [
      'a group',
      `${hosts('a: { aliases: [g] }')}groups:\n  g: a\n`,
      'i.yaml:2: hosts.a.aliases: g is already defined at i.yaml:4: groups.g',
    ],
    [
      'its own host',
      hosts('a: { aliases: [a] }'),
      'i.yaml:2: hosts.a.aliases: a is already defined at i.yaml:2: hosts.a',
    ],
    [
      'itself',
      hosts('a: { aliases: [b, b] }'),
      'i.yaml:2: hosts.a.aliases: b is already defined at i.yaml:2: hosts.a.aliases',
    ],
    [
      'a range of hosts',
      hosts('"n[1-9]": { aliases: "m[1-9]" }', 'a:', '"m[4-6]":'),
      'i.yaml:2: hosts.n[1-9].aliases: m[4-6] is already defined at i.yaml:4: hosts.m[4-6]',
    ],
    ['nothing', hosts('a:', '  aliases:'), 'i.yaml:3: hosts.a.aliases: has no value'],
    [
      'a map',
      hosts('a: { aliases: { b: c } }'),
      'i.yaml:2: hosts.a.aliases: expected other names of the host, such as [www, web-old]',
    ],
    [
      'several in one text',
      hosts('a: { aliases: "b,c" }'),
      'i.yaml:2: hosts.a.aliases: a name has letters, digits, ".", "_" and "-" only; several are a list',
    ],
    [
      'a group with its sign',
      hosts('a: { aliases: "@b" }'),
      'i.yaml:2: hosts.a.aliases: a name has letters, digits, ".", "_" and "-" only; several are a list',
    ],
    [
      'a bad range',
      hosts('a: { aliases: "b[2-1]" }'),
      'i.yaml:2: hosts.a.aliases: expected a range that goes up at position 2, not "2-1]"',
    ],
    [
      'one name for several hosts',
      hosts('"n[1-3]": { aliases: [n] }'),
      'i.yaml:2: hosts.n[1-3].aliases: "n" would name 3 hosts; give a range that pairs up with the names',
    ],
    [
      'a range that is too short',
      hosts('"n[1-3]": { aliases: "m[1-2]" }'),
      'i.yaml:2: hosts.n[1-3].aliases: a range of 2 for 3 hosts; ranges pair up in order, so the counts must be equal',
    ],
  ])('that are the name of %s are refused', (_, text, expected) => {
    expect(mistakesIn(text)).toEqual([expected])
  })
})

describe('over all sources', () => {
  let directory = ''
  const open = async (text: string, options: Partial<InventoryOptions> = {}) => {
    await writeFile(join(directory, 'inventory.yaml'), text)
    const opened = await openTestInventory(directory, { defaultUser: 'me', ...options })
    const plain = (texts: readonly string[]) => texts.map((one) => one.replaceAll(`${directory}/`, ''))
    return { inventory: opened.source.current(), warnings: plain(opened.warnings) }
  }
  const messageOf = (opening: Promise<unknown>) =>
    opening.then(String, (error: Error) => error.message.replaceAll(`${directory}/`, ''))

  beforeEach(async () => {
    directory = await temporaryDirectory()
  })

  it('SSH_SERVERS may not name a machine that the file or itself names for the same user', async () => {
    const text = hosts('web01: { address: 10.0.0.1, user: deploy }')
    expect(
      await messageOf(open(text, { sshServers: 'a:10.0.0.1:deploy,b:[::ffff:10.0.0.1]:root,c:10.0.0.1:root' })),
    ).toBe(
      'the inventory has 2 mistakes\n' +
        'SSH_SERVERS: entry 1: a is the same machine as web01 at inventory.yaml:2: hosts.web01, for ' +
        'the same user, so ' +
        'every command would run there more than once; keep web01 and give it the other name: aliases: [a]\n' +
        'SSH_SERVERS: entry 3: c is the same machine as b at SSH_SERVERS: entry 2, for the same ' +
        'user, so every command ' +
        'would run there more than once; keep b and give it the other name: aliases: [c]',
    )
  })

  it('SSH_SERVERS may not take the name of an alias', async () => {
    expect(await messageOf(open(hosts('web01: { aliases: w1 }'), { sshServers: 'w1:10.0.0.9:deploy' }))).toContain(
      'inventory.yaml:2: hosts.web01.aliases: w1 is already defined at SSH_SERVERS: entry 1',
    )
  })

  const withConfig = async (text: string, config: string, sshServers?: string) => {
    const sshConfigFile = join(directory, 'ssh_config')
    await writeFile(sshConfigFile, config)
    return open(text, { sshConfigFile, ...(sshServers !== undefined && { sshServers }) })
  }

  it('further names of one machine in an SSH config are aliases of the first, in one block or in several', async () => {
    const { inventory, warnings } = await withConfig(
      hosts('other:'),
      `Host web1 web1.example.com
         HostName 10.0.0.1
       Host www
         HostName ::ffff:10.0.0.1
         Port 22
         User me
       Host web1-root
         HostName 10.0.0.1
         User root
       Host Db
       Host inner
         HostName db
         ProxyJump www`,
    )
    expect([...inventory.hosts.keys()]).toEqual(['other', 'web1', 'web1-root', 'Db', 'inner'])
    expect(inventory.hosts.get('web1')?.aliases).toEqual(['web1.example.com', 'www'])
    expect(inventory.hosts.get('inner')).toMatchObject({ jump: 'web1', machine: 'inner' })
    expect(inventory.hosts.get('web1-root')?.machine).toBe('web1')
    expect(inventory.resolve('www,web1,web1.example.com')).toEqual(['web1'])
    expect(warnings).toEqual([])
  })

  it('and of a host of the file, which keeps its settings; a warning tells of keys that are not used', async () => {
    const { inventory, warnings } = await withConfig(
      hosts('web01: { address: 10.0.0.1, identity_file: /k, aliases: w1 }', 'db: { address: 10.0.0.2 }'),
      'Host web\n  HostName 10.0.0.1\nHost w1\n  HostName 10.0.0.3\nHost database\n  HostName ' +
        '10.0.0.2\nHost new\n  ProxyJump web\n',
    )
    expect([...inventory.hosts.keys()]).toEqual(['web01', 'db', 'new'])
    expect(inventory.hosts.get('web01')?.aliases).toEqual(['w1', 'web'])
    expect(inventory.hosts.get('db')?.aliases).toEqual(['database'])
    expect(inventory.hosts.get('new')?.jump).toBe('web01')
    expect(warnings).toEqual([
      'ssh_config: Host w1: left out: already defined at inventory.yaml:2: hosts.web01.aliases',
      'ssh_config: Host web: one machine and user with web01 (inventory.yaml:2: hosts.web01), so it ' +
        'is another name of ' +
        'that host; its own keys and HostKeyAlias are not used',
    ])
  })

  it('a host of SSH_SERVERS counts too', async () => {
    const { inventory } = await withConfig(hosts('other:'), 'Host web\n  HostName 10.0.0.1\n', 'web1:10.0.0.1:me')
    expect(inventory.hosts.get('web1')?.aliases).toEqual(['web'])
  })
})

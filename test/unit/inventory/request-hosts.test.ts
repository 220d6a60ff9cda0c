/** Hosts that a request names itself, against an inventory: which host it is, and whether the setting allows it. */
import type { Connect } from '@muster/contract'
import { parseInventory, readAdhocPolicy, requestSudoPassword } from '@muster/inventory'
import { describe, expect, it, test } from 'vitest'

const INVENTORY = parseInventory(
  `
defaults: { user: deploy }
hosts:
  web01: { address: 10.0.0.11, aliases: [www], identity_file: /k }
  web01-root: { address: 10.0.0.11, user: root, identity_file: /k }
  Big_Name: { address: 10.0.0.12, jump: bastion, host_key_alias: big, disabled: in repair }
  bastion: { address: 203.0.113.7, port: 2222, user: jump, identity_file: /k }
  db.example.com: { user: postgres }
groups: { web: web01 }
`,
  'inventory.yaml',
  { home: '/home/me', user: 'me', credentials: [{ kind: 'agent' }] },
)

const find = (name: string, connect?: Connect) => INVENTORY.find(name, connect)
const resolve = (expression: string, connect?: Connect) => INVENTORY.resolve(expression, { connect })

describe('a host that a request names', () => {
  it.each([
    ['deploy@10.0.0.11', 'web01'],
    ['deploy@::ffff:10.0.0.11', 'web01'],
    ['deploy@web01', 'web01'],
    ['deploy@www:22', 'web01'],
    ['root@web01', 'web01-root'],
    ['postgres@DB.example.com.', 'db.example.com'],
    ['jump@203.0.113.7:2222', 'bastion'],
  ])('%s is %s of the inventory', (text, name) => {
    expect(resolve(text)).toEqual([name])
    expect(find(text)).toBe(INVENTORY.hosts.get(name))
  })

  it.each([
    ['admin@10.0.0.11', 'admin@web01', 'web01'],
    ['admin@www', 'admin@web01', 'web01'],
    ['admin@big_name', 'admin@big_name', 'Big_Name'],
    ['admin@db.example.com', 'admin@db.example.com', 'db.example.com'],
  ])('%s is %s, at the machine of the inventory, without its credentials', (text, name, machine) => {
    expect(resolve(text)).toEqual([name])
    expect(find(text)).toMatchObject({ name, machine, user: 'admin', credentials: [], isOfRequest: true })
    expect(find(name)).toEqual(find(text))
  })

  it('keeps the way, the alias and the repair of the machine', () => {
    expect(find('admin@big_name')).toMatchObject({
      address: '10.0.0.12',
      jump: 'bastion',
      hostKeyAlias: 'big',
      disabled: 'in repair',
    })
  })

  it('is a machine of its own by another port or another way', () => {
    expect(find('deploy@10.0.0.11:2222')).toMatchObject({ name: 'deploy@10.0.0.11:2222', machine: '10.0.0.11:2222' })
    const jumped = find('deploy@10.0.0.11', { jump: 'bastion' })
    expect(jumped).toMatchObject({ machine: '203.0.113.7:2222>10.0.0.11:22', jump: 'bastion', credentials: [] })
    const behind = find('deploy@10.0.0.12', { jump: 'bastion' })
    expect(behind, 'by the way that the inventory says').toMatchObject({ name: 'Big_Name' })
    const far = find('root@192.0.2.1', { jump: 'bastion,a@192.0.2.9' })
    expect(far).toMatchObject({ machine: '203.0.113.7:2222>192.0.2.9:22>192.0.2.1:22', jump: 'a@192.0.2.9' })
    expect(find('b@192.0.2.1', { jump: 'bastion,c@192.0.2.9' })?.machine).toBe(far?.machine)
  })

  it('may be a bare name or address where the request says the user', () => {
    expect(resolve('192.0.2.1,web01,host.test', { user: 'root', port: 23 })).toEqual([
      'root@192.0.2.1:23',
      'web01',
      'root@host.test:23',
    ])
    expect(() => resolve('192.0.2.1')).toThrow(
      'one that it does not have is named with its user, such as root@192.0.2.1',
    )
  })

  it.each([
    ['ssh://10.0.0.9', undefined, 'has no user to log in as'],
    ['deploy@web01:2222', undefined, 'says that its port is 22'],
    ['admin@web01', { jump: 'bastion' }, 'says how it is reached'],
    ['admin@10.0.0.9', { jump: 'bsation' }, 'no such host in the inventory: bsation'],
    ['admin@10.0.0.9', { jump: 'a@b,bastion' }, 'it can only be the first host to go through'],
  ] as const)('%s is refused where it contradicts the inventory, or says too little', (text, connect, why) => {
    expect(() => resolve(text, connect)).toThrow(why)
  })

  it('is no member of a group, of all hosts, or of what a wildcard selects', () => {
    expect(resolve('@*')).not.toContain('admin@web01')
    expect(resolve('admin@web01!@web')).toEqual(['admin@web01'])
    const text = 'hosts: { a: {} }\ngroups: { b: "root@10.0.0.1" }\n'
    const defaults = { home: '/', user: 'u', credentials: [] }
    expect(() => parseInventory(text, 'i', defaults)).toThrow('no such host in the inventory: root@10.0.0.1')
  })

  it('is found in a job by its name there, and only if the job has it', () => {
    const within = ['web01', 'admin@web01', 'deploy@10.0.0.11']
    const inJob = (expression: string) => INVENTORY.resolve(expression, { within })
    expect(inJob('admin@10.0.0.11')).toEqual(['admin@web01'])
    expect(inJob('deploy@10.0.0.11'), 'it went another way').toEqual(['deploy@10.0.0.11'])
    expect(inJob('@*!web01')).toEqual(['admin@web01', 'deploy@10.0.0.11'])
    expect(() => inJob('root@10.9.9.9')).toThrow('no such host in the job: root@10.9.9.9')
  })
})

describe('MUSTER_ADHOC_HOSTS', () => {
  const policy = (text: string) => {
    const read = readAdhocPolicy(text)
    if ('mistake' in read) throw new Error(read.mistake)
    return read
  }
  const host = (text: string, connect?: Connect) => {
    const found = find(text, connect)
    if (found === undefined) throw new Error(text)
    return found
  }

  it.each([
    ['off', 'u@192.0.2.1', false],
    ['known_hosts', 'u@192.0.2.1', true],
    ['known_hosts', 'u@h.test', true],
    ['192.0.2.0/24', 'u@192.0.2.1', true],
    ['192.0.2.0/24', 'u@::ffff:192.0.2.1', true],
    ['192.0.2.0/24', 'u@192.0.3.1', false],
    ['192.0.2.0/24', 'u@h.test', true],
    ['2001:db8::/32', 'u@[2001:db8::5]:2222', true],
    ['2001:db8::/32', 'u@2001:db9::5', false],
    ['*.test', 'u@h.test', true],
    ['*.test', 'u@h.test.example', false],
    ['*.test', 'u@192.0.2.1', false],
    ['*', 'u@192.0.2.1', false],
    ['0.0.0.0/0', 'u@192.0.2.1', true],
  ])('%s for %s: %s', (text, name, isAllowed) => {
    expect(policy(text).refusesHost(host(name)) === undefined).toBe(isAllowed)
  })

  it('allows a name by networks only to the addresses in them, and behind a jump host not at all', () => {
    const networks = policy('192.0.2.0/24')
    expect(networks.refusesAddress(host('u@h.test'), '192.0.2.7')).toBeUndefined()
    expect(networks.refusesAddress(host('u@h.test'), '192.0.3.7')).toContain('its name leads to 192.0.3.7')
    expect(networks.refusesHost(host('u@h.test', { jump: 'bastion' }))).toContain('behind a jump host')
  })

  it.each([
    '169.254.169.254',
    '169.254.0.1',
    '100.100.100.200',
    'fd00:ec2::254',
    '::ffff:169.254.169.254',
    '::169.254.169.254',
    '64:ff9b::169.254.169.254',
    '2002:a9fe:a9fe::1',
    'fe80::1',
    'fe80::1%eth0',
    'ff02::1',
    '224.0.0.1',
    '0.0.0.0',
    '0.1.2.3',
    '255.255.255.255',
    '::',
  ])('never allows %s, neither as it is written nor where a name leads there', (address) => {
    for (const text of ['known_hosts', '0.0.0.0/0,::/0', '*']) {
      expect(policy(text).refusesHost(host(`u@${address}`))).toMatch(/no request may name|it is not in the inventory/)
      expect(policy(text).refusesAddress(host('u@h.test'), address)).toContain('no request may name')
    }
  })

  it.each(['127.0.0.1', '::1', '10.0.0.5', '2001:db8::5', '64:ff9b::10.0.0.5', 'fd00:ec2::255'])(
    'can allow %s',
    (address) => expect(policy('0.0.0.0/0,::/0').refusesHost(host(`u@${address}`))).toBeUndefined(),
  )

  it.each([
    ['off,10.0.0.0/8', '"off" stands alone'],
    ['10.0.0.0/33', 'at most /32'],
    ['10.0.*', 'neither a network'],
    ['10.0.0.*', 'neither a network'],
    ['a b', 'neither a network'],
  ])('%s is a mistake', (text, mistake) => {
    expect(readAdhocPolicy(text)).toEqual({ mistake: expect.stringContaining(mistake) })
  })

  it('lets a pinned key stand for known_hosts only where it allows the host without them', () => {
    expect(policy('known_hosts').mayBePinned(host('u@192.0.2.1'))).toBe(false)
    expect(policy('known_hosts,192.0.2.0/24').mayBePinned(host('u@192.0.2.1'))).toBe(true)
    expect(policy('known_hosts,192.0.2.0/24').mayBePinned(host('u@h.test'))).toBe(false)
    expect(policy('192.0.2.0/24').mayBePinned(host('u@h.test'))).toBe(true)
    expect(policy('*.test').mayBePinned(host('u@h.test'))).toBe(true)
  })
})

test.each([
  ['lab: { identity_file: /k }', 'give hosts'],
  ['lab: { hosts: 10.0.0.0/8 }', 'give identity_file'],
  ['lab: { hosts: [10.0.0.0/99], identity_file: /k }', 'at most /32'],
  ['lab: { hosts: 10.0.0.0/8, password: x }', 'a secret has no place in this file'],
  ['"a b": { hosts: 10.0.0.0/8, identity_file: /k }', 'the name of a credential'],
])('a faulty entry of the section credentials is told: %s', (entry, why) => {
  const text = `hosts: { a: {} }\ncredentials:\n  ${entry}\n`
  expect(() => parseInventory(text, 'i', { home: '/', user: 'u', credentials: [] })).toThrow(why)
})

test.each([
  ['sudo_password_file: /s, identity_file: /k', { kind: 'file', path: '/s' }],
  ['sudo_password_env: S', { kind: 'env', name: 'S' }],
  ['credential_command: [/give], credential_kinds: sudo_password', { kind: 'command', gives: 'sudo_password' }],
  ['credential_command: [/give]', undefined],
])('an entry of the section credentials can have the password for sudo: %s', (fields, wanted) => {
  const text = `hosts: { a: {} }\ncredentials:\n  lab: { hosts: 10.0.0.0/8, users: ops, ${fields} }\n`
  const inventory = parseInventory(text, 'i', { home: '/', user: 'u', credentials: [] })
  const passwordAt = (name: string, connect = {}) => {
    const host = inventory.find(name)
    if (host === undefined) throw new Error(`no host ${name}`)
    return requestSudoPassword(host, connect, inventory)
  }
  for (const connect of [{}, { credential: 'lab' }]) {
    if (wanted === undefined) expect(passwordAt('ops@10.0.0.5', connect)).toBeUndefined()
    else expect(passwordAt('ops@10.0.0.5', connect)).toMatchObject(wanted)
  }
  expect(passwordAt('ops@10.0.0.5', { identity_file: '/k' })).toBeUndefined()
  expect(passwordAt('root@10.0.0.5')).toBeUndefined()
  expect(passwordAt('ops@192.0.2.5')).toBeUndefined()
})

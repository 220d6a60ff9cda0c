/** Where hosts come from besides the file: SSH_SERVERS, an SSH config, and the usual credentials. */
import { access, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import type { InventoryOptions } from '../../../libs/inventory/src/inventory-source.ts'
import { hostsFile, openTestInventory, temporaryDirectory } from '../../support/inventory/test-inventory.ts'

let directory = ''
let file = ''

beforeEach(async () => {
  directory = await temporaryDirectory()
  file = join(directory, 'inventory.yaml')
})

const open = (options?: Partial<InventoryOptions>) => openTestInventory(directory, options)

describe('SSH_SERVERS', () => {
  it('gives hosts, with spaces around its parts, and without the inventory file', async () => {
    const { source } = await open({ sshServers: ' web1 : 10.0.0.1 : root , , db:[2001:db8::5]:admin:p:w ,' })
    expect([...source.current().hosts.values()]).toEqual([
      {
        name: 'web1',
        aliases: [],
        machine: 'web1',
        address: '10.0.0.1',
        port: 22,
        user: 'root',
        labels: {},
        credentials: [],
        groups: [],
      },
      {
        name: 'db',
        aliases: [],
        machine: 'db',
        address: '2001:db8::5',
        port: 22,
        user: 'admin',
        labels: {},
        credentials: [{ kind: 'password', secret: { kind: 'ssh_servers', host: 'db' } }],
        groups: [],
      },
    ])
  })

  it('keeps passwords out of the inventory and warns once of all hosts that have one', async () => {
    const { source, warnings } = await open({ sshServers: 'n1:a:u:hunter2,n2:b:u:hunter2,c:c:u' })
    await source.reload()
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(/^SSH_SERVERS holds passwords for n\[1-2\]: .* use a key, or password_file/)
    expect(JSON.stringify([warnings, [...source.current().hosts.values()]])).not.toContain('hunter2')
  })

  it.each([
    ['web1', 'entry 1: expected name:host:user[:password]; a password with a comma cannot be given here'],
    ['a:b:c:pass,word', 'entry 2: expected name:host:user[:password]; a password with a comma cannot be given here'],
    ['we b:b:c', 'entry 1: the name must have letters, digits, ".", "_" and "-" only'],
    ['a:b c:d', 'entry 1: the host must be a host name or an IP address, IPv6 in brackets'],
    ['a:b:', 'entry 1: the user is missing, or has spaces in it'],
    ['a:b:c,a:d:e', 'entry 2: a is already defined at SSH_SERVERS: entry 1'],
  ])('%s is a mistake that names the entry', async (sshServers, expected) => {
    await expect(open({ sshServers })).rejects.toMatchObject({
      code: 'invalid_inventory',
      message: `the inventory has one mistake\nSSH_SERVERS: ${expected}`,
    })
  })

  it('shows no part of an entry that may be the rest of a password', async () => {
    const opened = open({ sshServers: 'a:b:c:first,hun ter2:x:y,hunter2' })
    await expect(opened).rejects.toMatchObject({ message: expect.not.stringMatching(/hun|ter2|first/) })
  })

  it('and the file may not define the same host: the mistake names both positions', async () => {
    await writeFile(file, hostsFile('web1', 'web2'))
    await expect(open({ sshServers: 'web2:h:u' })).rejects.toMatchObject({
      message: `the inventory has one mistake\nSSH_SERVERS: entry 1: web2 is already defined at ${file}:3: hosts.web2`,
    })
  })
})

describe('the usual credentials', () => {
  it('are the agent and the key files that exist, in the order of their strength', async () => {
    await mkdir(join(directory, '.ssh'))
    for (const name of ['id_rsa', 'id_ed25519', 'id_other']) await writeFile(join(directory, '.ssh', name), '')
    await writeFile(file, hostsFile('a'))
    const { source } = await open({ agentSocket: '/run/agent' })
    expect(source.current().hosts.get('a')?.credentials).toEqual([
      { kind: 'agent', socket: '/run/agent' },
      { kind: 'key', identityFile: join(directory, '.ssh/id_ed25519'), isOfOpenSsh: true },
      { kind: 'key', identityFile: join(directory, '.ssh/id_rsa'), isOfOpenSsh: true },
    ])
  })
})

describe('an SSH config', () => {
  const withConfig = async (text: string, options: Partial<InventoryOptions> = {}) => {
    const sshConfigFile = join(directory, 'ssh_config')
    await writeFile(sshConfigFile, text)
    const opened = await open({ sshConfigFile, ...options })
    return { ...opened, warnings: opened.warnings.map((text) => text.replace(`${sshConfigFile}: `, '')) }
  }

  it('gives its hosts with what OpenSSH would apply to them', async () => {
    await mkdir(join(directory, '.ssh'))
    for (const key of ['.ssh/deploy', 'all keys']) await writeFile(join(directory, key), '')
    const { source, warnings } = await withConfig(
      `Host bastion
         HostName 203.0.113.7
         User jump
       Host web1 web2 *.internal !web3
         HostName %h.example.com
         Port 2222
         ProxyJump bastion
         HostKeyAlias web
         IdentityFile ~/.ssh/%r
       Host *
         User deploy
         Port 22
         IdentityFile "%d/all keys"
         IdentityFile ~/.ssh/of-another-computer`,
      { agentSocket: '/run/agent' },
    )
    expect(warnings).toEqual([])
    expect([...source.current().hosts.keys()]).toEqual(['bastion', 'web1', 'web2'])
    expect(source.current().hosts.get('web1')).toEqual({
      name: 'web1',
      aliases: [],
      machine: 'web1',
      address: 'web1.example.com',
      port: 2222,
      user: 'deploy',
      jump: 'bastion',
      hostKeyAlias: 'web',
      labels: {},
      credentials: [
        { kind: 'key', identityFile: join(directory, '.ssh/deploy'), isOfOpenSsh: true },
        { kind: 'key', identityFile: join(directory, 'all keys'), isOfOpenSsh: true },
        { kind: 'agent', socket: '/run/agent' },
      ],
      groups: [],
    })
    expect(source.current().hosts.get('bastion')).toMatchObject({ address: '203.0.113.7', user: 'jump', port: 22 })
  })

  it('disables what would be reached through itself, and what leads through it', async () => {
    const { source, names, warnings } = await withConfig(
      `Host b
         ProxyJump a
       Host e
         ProxyJump none
       Host f
         ProxyJump g
       Host g
         ProxyJump f
       Host h
         ProxyJump root@f,b
       Host i
         HostName i.example
         ProxyJump x,i.example
       Host "no name"
         Port 7
       Host all
         ProxyJump z
       Host *
         ProxyJump z`,
    )
    expect(names()).toEqual(['b', 'e', 'f', 'g', 'h', 'i', 'all'])
    const why = Object.fromEntries([...source.current().hosts].map(([name, { disabled }]) => [name, disabled]))
    expect(why).toEqual({
      b: 'the jump hosts go in a circle: b → a → z → z',
      e: undefined,
      f: 'the jump hosts go in a circle: f → g → f',
      g: 'the jump hosts go in a circle: g → f → g',
      h: 'the jump hosts go in a circle: h → f → g → f',
      i: 'the jump hosts go in a circle: i → x → z → z',
      all: 'the jump hosts go in a circle: all → z → z',
    })
    expect(warnings).toEqual([
      'Host no name: left out: a host name has letters, digits, ".", "_" and "-" only',
      'disabled, and "muster hosts" says why: b,f,g,h,i,all',
    ])
  })

  it('never runs a program, and disables a host that ssh would reach by another way', async () => {
    const proof = join(directory, 'proof')
    const { source, warnings } = await withConfig(
      `Host a
         ProxyCommand nc %h %p
       Host b
       Match exec "touch ${proof}"
         User evil
       Host *
         CanonicalizeHostName yes
         CanonicalDomains example.com`,
    )
    expect(source.current().hosts.get('a')).toMatchObject({ address: 'a', user: 'me' })
    await expect(access(proof)).rejects.toThrow('ENOENT')
    expect(warnings).toEqual([
      'not taken: ProxyCommand for a; Match, User for a,b; CanonicalizeHostName, CanonicalDomains for b',
      'disabled, and "muster hosts" says why: a,b',
    ])
    const why = ', which Muster does not follow: write the host in inventory.yaml'
    const { a, b } = Object.fromEntries([...source.current().hosts].map(([name, { disabled }]) => [name, disabled]))
    expect(a).toBe(`its SSH config has ProxyCommand and Match with User${why}`)
    expect(b).toBe(`its SSH config has CanonicalizeHostName and Match with User${why}`)
  })

  it.each<[string, string, string | undefined]>([
    ['ProxyCommand', 'Host a\n ProxyCommand ssh x -W %h:%p', 'ProxyCommand'],
    ['one for all', 'Host a\nHost *\n ProxyCommand nc %h %p', 'ProxyCommand'],
    ['one that is none', 'Host a\n ProxyCommand none\nHost *\n ProxyCommand nc %h %p', undefined],
    ['one behind a ProxyJump', 'Host b\nHost a\n ProxyJump b\n ProxyCommand nc %h %p', undefined],
    ['a ProxyJump behind one', 'Host b\nHost a\n ProxyCommand nc %h %p\n ProxyJump b', 'ProxyCommand'],
    ['Match all', 'Host a\nMatch all\n HostName 10.0.0.9', undefined],
    ['Match exec', 'Host a\nMatch exec "true"\n HostName 10.0.0.9', 'Match with HostName'],
    ['what is set already', 'Host a\n User x\n Port 22\nMatch exec "true"\n User evil\n Port 1', undefined],
    ['one of another host', 'Host a\nMatch originalhost b*,c exec "true"\n User evil', undefined],
    ['one of all but this host', 'Host a\nMatch host *,!a exec "true"\n User evil', undefined],
    ['one of this host', 'Host a\nMatch exec true Host "A"\n ProxyJump b', 'Match with ProxyJump'],
    ['one of its address', 'Host a\n HostName a.x\nMatch host *.x exec true\n Port 1', 'Match with Port'],
    ['one of another user', 'Host a\n User x\nMatch user y exec true\n Port 1', undefined],
    ['one in an included file', 'Host a\nMatch exec true\n Include port', 'Match with Port'],
    ['revoked keys', 'Host a\n RevokedHostKeys /etc/revoked', 'RevokedHostKeys'],
    ['Match with harmless options', 'Host a\nMatch exec "false"\n IdentityAgent /x\n ForwardAgent no', undefined],
    ['canonical names', 'CanonicalizeHostName always\nCanonicalDomains x.y\nHost a', 'CanonicalizeHostName'],
    [
      'canonical names behind a jump host',
      'CanonicalizeHostName yes\nCanonicalDomains x\nHost b\n HostName 10.0.0.2\n' + 'Host a\n ProxyJump b',
      undefined,
    ],
    ['canonical names without domains', 'CanonicalizeHostName yes\nHost a', undefined],
    ['an address', 'CanonicalizeHostName yes\nCanonicalDomains x.y\nHost a\n HostName 10.0.0.1', undefined],
    ['a name with dots', 'CanonicalizeHostName yes\nCanonicalDomains x.y\nHost a\n HostName a.b.c', undefined],
    ['options of encryption', 'Host a\n Ciphers aes128-cbc\n HostKeyAlgorithms +ssh-rsa', undefined],
  ])('a host is disabled where ssh would go elsewhere, and only there: %s', async (_title, config, why) => {
    await mkdir(join(directory, '.ssh'))
    await writeFile(join(directory, '.ssh/port'), 'Port 1\n')
    const { source } = await withConfig(config)
    const disabled = source.current().hosts.get('a')?.disabled
    if (why === undefined) expect(disabled).toBeUndefined()
    else expect(disabled).toContain(`its SSH config has ${why}, which Muster does not follow`)
  })

  it('hosts behind one that is disabled so are disabled too, also in the inventory file', async () => {
    await writeFile(file, 'hosts:\n  far: { address: 10.0.0.1, jump: near }\n  other: { address: 10.0.0.2 }\n')
    const { source } = await withConfig('Host near\n ProxyJump door\nHost door\n ProxyCommand nc %h %p\nHost free\n')
    const disabled = [...source.current().hosts].map(([name, host]) => [name, host.disabled?.split(':')[0]])
    expect(disabled).toEqual([
      ['far', 'its jump host door cannot be used'],
      ['other', undefined],
      ['near', 'its jump host door cannot be used'],
      ['door', 'its SSH config has ProxyCommand, which Muster does not follow'],
      ['free', undefined],
    ])
  })

  it('every option that is not taken is reported with its hosts, its place and why, and no value', async () => {
    const { source, warnings } = await withConfig(
      `Host web1
         HostName 10.0.0.1
         IdentityAgent /secret/agent
         CertificateFile /secret/cert
       Host web2 web3
         HostName %h.example.com
         hostkeyalgorithms +ssh-rsa
         ForwardAgent yes
       Host *
         ServerAliveInterval 5
         SetEnv TOKEN=secret`,
    )
    expect(warnings).toEqual([
      'not taken: CertificateFile for web1; ServerAliveInterval for web[1-3]; ForwardAgent for web[2-3]',
    ])
    const file = join(directory, 'ssh_config')
    expect(source.current().hosts.get('web1')?.notTaken).toEqual([
      {
        option: 'CertificateFile',
        file,
        line: 4,
        why: 'a certificate is taken from the file beside its key, KEY-cert.pub',
      },
      { option: 'ServerAliveInterval', file, line: 10, why: 'Muster has a way of its own' },
    ])
    expect(JSON.stringify([...source.current().hosts.values()].map(({ notTaken }) => notTaken))).not.toContain('secret')
  })

  it('may be named with ~, since a value in .env is not expanded by a shell', async () => {
    const { names } = await withConfig('Host a\n', { sshConfigFile: '~/ssh_config' })
    expect(names()).toEqual(['a'])
  })

  it('yields to the inventory file, and may jump through its hosts', async () => {
    await writeFile(file, 'hosts:\n  a: { address: 10.0.0.1 }\n')
    const { source, warnings } = await withConfig('Host a\n  HostName 10.0.0.2\nHost b\n  ProxyJump a\n')
    expect(source.current().hosts.get('a')?.address).toBe('10.0.0.1')
    expect(source.current().hosts.get('b')?.jump).toBe('a')
    expect(warnings).toEqual([`Host a: left out: already defined at ${file}:2: hosts.a`])
  })
})

/** An SSH config as ssh reads it: included files, lines that ssh refuses, tokens, and what logs in. */
import { createHash } from 'node:crypto'
import { chmod, chown, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { ownAgent } from '@muster/inventory'
import { readTrustedFile } from '@muster/runtime'
import { beforeEach, describe, expect, it } from 'vitest'
import type { InventoryOptions } from '../../../libs/inventory/src/inventory-source.ts'
import { readConfigFiles } from '../../../libs/inventory/src/ssh-config/config-files.ts'
import { openTestInventory, temporaryDirectory } from '../../support/inventory/test-inventory.ts'

let home = ''
let sshConfigFile = ''

beforeEach(async () => {
  home = await temporaryDirectory()
  await mkdir(join(home, '.ssh/conf.d'), { recursive: true })
  sshConfigFile = join(home, '.ssh/config')
})

const write = (name: string, text: string) => writeFile(join(home, '.ssh', name), text)

async function open(text: string, options: Partial<InventoryOptions> = {}) {
  await write('config', text)
  const opened = await openTestInventory(home, { sshConfigFile, env: {}, ...options })
  return { ...opened, host: (name: string) => opened.source.current().hosts.get(name) }
}

/** What is refused, without the directory. */
const refusal = async (text: string, options: Partial<InventoryOptions> = {}) => {
  const error: unknown = await open(text, options).catch((thrown: unknown) => thrown)
  return error instanceof Error ? error.message.replaceAll(home, '~') : 'nothing'
}

describe('an included file', () => {
  it('is found from ~/.ssh, by a pattern, in the order of the names, and gives its hosts', async () => {
    await write('conf.d/20-b', 'Host b\n  Port 20\nHost a\n  Port 21\n')
    await write('conf.d/10-a', 'Host a\n  Port 10\n')
    await write('conf.d/.hidden', 'Host hidden\n')
    await mkdir(join(home, '.ssh/conf.d/30-directory'))
    const { names, host } = await open('Include conf.d/* "~/nothing here" /nor/here\nHost c\n  Port 3\n')
    expect(names()).toEqual(['a', 'b', 'c'])
    expect([host('a')?.port, host('b')?.port, host('c')?.port]).toEqual([10, 20, 3])
  })

  it.each([
    ['[1-2]*', ['a', 'b']],
    ['?0-a', ['a']],
    ['[!1]*', ['b']],
    ['*-[bc] 10-a', ['b', 'a']],
  ])('is found by %s as by glob(3)', async (patterns, expected) => {
    await write('conf.d/10-a', 'Host a\n')
    await write('conf.d/20-b', 'Host b\n')
    const included = patterns.replaceAll(/(^| )/g, '$1conf.d/')
    expect((await open(`Include ${included}\nHost z\n`)).names()).toEqual([...expected, 'z'])
  })

  it('counts within the section that includes it, and its own sections end with it', async () => {
    await write('inner', 'Port 7\nHost web*\n  User deploy\nHost other\n  Port 9\n')
    const { names, host } = await open('Host web1\n  Include inner\n  HostName 10.0.0.1\nHost web2\n')
    // "other" is not web1, so nothing that the file says applies to it.
    expect(names()).toEqual(['web1', 'web2'])
    expect(host('web1')).toMatchObject({ port: 7, user: 'deploy', address: '10.0.0.1' })
    expect(host('web2')).toMatchObject({ port: 22, user: 'me', address: 'web2' })
  })

  it('is watched, and so is the directory of a pattern', async () => {
    await write('conf.d/a', 'Host a\n')
    const { names, until } = await open('Include conf.d/*\n')
    await write('conf.d/b', 'Host b\n')
    await until(() => names().includes('b'))
    await write('conf.d/a', 'Host changed\n')
    await until(() => names().includes('changed'))
    await rm(join(home, '.ssh/conf.d/b'))
    await until(() => !names().includes('b'))
    expect(names()).toEqual(['changed'])
  })

  it('that others can write to is refused, with its line and the command that corrects it', async () => {
    await write('inner', 'Host a\n')
    await chmod(join(home, '.ssh/inner'), 0o666)
    const config = '# first\nInclude inner\n'
    expect(await refusal(config, { readText: readTrustedFile })).toBe(
      'the inventory has one mistake\n~/.ssh/config:2: Include: ~/.ssh/inner is not read: others can write to it ' +
        '(mode 0666). If you trust what is in it: chmod go-w ~/.ssh/inner',
    )
  })

  it('that includes itself, by whatever way, is refused at that line', async () => {
    await write('one', 'Include two\n')
    await write('two', 'Host a\n  Include one\n')
    expect(await refusal('Host x\n\nInclude one\n')).toBe(
      'the inventory has one mistake\n~/.ssh/two:2: Include: the files include each other in a circle: ' +
        '~/.ssh/one → ~/.ssh/two → ~/.ssh/one',
    )
  })

  it('may be sixteen files deep, as for ssh, and not deeper', async () => {
    for (let depth = 1; depth <= 17; depth += 1) await write(`f${depth}`, `Include f${depth + 1}\n`)
    await write('f16', 'Host deep\n')
    expect((await open('Include f1\n')).names()).toEqual(['deep'])
    await write('f16', 'Include f17\n')
    expect(await refusal('Include f1\n')).toContain('~/.ssh/f16:1: Include: more than 16 files deep')
  })

  it('that cannot be read is refused', async () => {
    await symlink('loop', join(home, '.ssh/loop'))
    expect(await refusal('Include loop\n')).toMatch(
      /^the inventory has one mistake\n~\/\.ssh\/config:1: Include: .*ELOOP/s,
    )
  })
})

it('a file of thousands of hosts is not searched as a whole for each of them', async () => {
  const hosts = Array.from({ length: 5_000 }, (_, n) => `Host n${n} alias${n}\n  Port ${n + 1}\n`)
  const text = `User first\n${hosts.join('')}Host n7\n  User x\nHost n*\n  Port 1\nMatch all\n  Port 2\n`
  const { root } = await readConfigFiles(text, 'config', { home, readText: async () => undefined })
  const found = root.sectionsFor('n7').map(({ header }) => header && `${header.line} ${header.rest}`)
  expect(found).toEqual([undefined, '16 n7 alias7', '10002 n7', '10004 n*', '10006 all'])
})

describe('a line that ssh refuses', () => {
  it('is refused with its file and line, all of them at once, and none shows its value', async () => {
    await write('inner', 'User "s3cret\n')
    const text =
      'Port s3cret\nHost a\n  Include inner\n  S3cret yes\n  s3cr@et\n  IdentitiesOnly s3cret # why\nMatch s3cret x\n'
    expect(await refusal(`${text}ProxyJump s3cret:x\nUser\nPort 1 s3cret\n`)).toBe(
      [
        'the inventory has 9 mistakes',
        '~/.ssh/config:1: Port: bad port: expected 1 to 65535',
        '~/.ssh/config:4: ssh does not know the option S3cret; ' +
          'to have it ignored, as by ssh, name it above in an IgnoreUnknown',
        '~/.ssh/config:5: no argument after keyword "something that is no option"',
        '~/.ssh/config:6: IdentitiesOnly: expected yes or no',
        '~/.ssh/config:7: Match: ssh refuses this condition',
        '~/.ssh/config:8: ProxyJump: ssh refuses this value',
        '~/.ssh/config:9: no argument after keyword "User"',
        '~/.ssh/config:10: Port: extra arguments at the end of the line',
        '~/.ssh/inner:1: invalid quotes',
      ].join('\n'),
    )
  })

  it('for one host alone leaves the others as they are', async () => {
    const { host } = await open(
      'Host a\n  IgnoreUnknown New*\nHost b\n  HostName %x.example\nHost a c\n  NewOption yes\n' +
        'Host c\n  IgnoreUnknown x\n',
    )
    expect(host('a')).toMatchObject({ name: 'a' })
    expect(host('a')?.disabled).toBeUndefined()
    const refused = (name: string) => host(name)?.disabled?.replace(home, '~')
    expect(refused('b')).toBe('ssh refuses this host, too: ~/.ssh/config:4: HostName: the token %x is not known here')
    expect(refused('c')).toBe('ssh refuses this host, too: ~/.ssh/config:6: ssh does not know this option')
  })

  it('in a version that replaces a good one changes nothing, and the message says where it is', async () => {
    const { names, problems, until } = await open('Host a\n')
    await write('config', 'Host a b\n  Port x\n')
    await until(() => problems.length > 0)
    expect(names()).toEqual(['a'])
    expect(problems[0]?.message.replaceAll(home, '~')).toContain('~/.ssh/config:2: Port: bad port')
  })
})

describe('what logs in', () => {
  const agentSocket = '/run/agent'
  const hash = createHash('sha1').update(`${hostname()}h.example22root`).digest('hex')
  const credentials = async (text: string, env = {}) => {
    for (const name of ['one', 'two-h.example-root', 'id_ed25519', hash]) await write(name, '')
    const { host } = await open(`Host a\n  HostName h.example\n  User root\n${text}`, { agentSocket, env })
    const keys = host('a')?.credentials.map((one) => JSON.parse(JSON.stringify(one).replaceAll(home, '~')) as unknown)
    return { keys, told: host('a')?.notTaken?.map(({ option, line, why }) => `${line} ${option}: ${why}`) }
  }
  const key = (identityFile: string, more = {}) => ({ kind: 'key', identityFile, isOfOpenSsh: true, ...more })
  const agent = (socket: string) => ({ kind: 'agent', socket })

  it.each<[string, string, unknown[]]>([
    ['nothing said', '', [agent(agentSocket), key('~/.ssh/id_ed25519')]],
    [
      'keys',
      '  IdentityFile ~/.ssh/one\n  IdentityFile ~/.ssh/two-%h-%r',
      [key('~/.ssh/one'), key('~/.ssh/two-h.example-root'), agent(agentSocket)],
    ],
    ['keys alone', '  IdentityFile ~/.ssh/one\n  IdentitiesOnly yes', [key('~/.ssh/one')]],
    ['the usual keys alone', '  IdentitiesOnly yes', [key('~/.ssh/id_ed25519')]],
    ['no key', '  IdentityFile none', [agent(agentSocket)]],
    ['no agent', '  IdentityAgent none', [key('~/.ssh/id_ed25519', { agent: '' })]],
    [
      'another agent',
      '  IdentityAgent ~/agent-%n',
      [key('~/.ssh/id_ed25519', { agent: '~/agent-a' }), agent('~/agent-a')],
    ],
    ['an agent by its variable', '  IdentityAgent $OTHER', [key('~/.ssh/id_ed25519', { agent: '/o' }), agent('/o')]],
    ['the usual agent by name', '  IdentityAgent SSH_AUTH_SOCK', [agent(agentSocket), key('~/.ssh/id_ed25519')]],
    ['a key by the hash of the connection', '  IdentityFile %d/.ssh/%C', [key(`~/.ssh/${hash}`), agent(agentSocket)]],
    ['a key by a variable', `  IdentityFile \${KEYS}/one`, [key('~/.ssh/one'), agent(agentSocket)]],
  ])('is what ssh would offer: %s', async (_title, text, expected) => {
    const { keys, told } = await credentials(text, { OTHER: '/o', KEYS: join(home, '.ssh') })
    expect(keys).toEqual(expected)
    expect(told).toBeUndefined()
  })

  it('is told of where a file is not known here, and no variable of Muster’s own is read', async () => {
    const files = `  IdentityFile \${GONE}/x\n  IdentityFile ~bob/x\n  IdentityFile /%T\n`
    const text = `${files}  IdentityAgent \${MUSTER_API_KEY}`
    const { keys, told } = await credentials(text, { MUSTER_API_KEY: '/s3cret' })
    expect(keys).toEqual([])
    expect(told).toEqual([
      '4 IdentityFile: the environment variable GONE has no value here',
      '5 IdentityFile: only ~/ is known, not the home of another user',
      '6 IdentityFile: the token %T is not known here',
      '7 IdentityAgent: the environment variable MUSTER_API_KEY has no value here',
    ])
  })
})

describe('a ProxyCommand', () => {
  const programs = ['/usr/bin/nc', '/opt/cloud/access', '/usr/bin/ssh']
  const found = async (line: string, proxyPrograms = programs) => {
    const text = `Host a\n HostName h.example\n Port 24\n User bob\n ProxyCommand ${line}\n`
    const { host } = await open(text, { proxyPrograms })
    return { proxy: host('a')?.proxy, told: host('a')?.notTaken?.map(({ why }) => why), host: host('a') }
  }

  it.each<[string, string[]]>([
    ['nc %h %p', ['/usr/bin/nc', 'h.example', '24']],
    ['=nc  %h\t%p ', ['/usr/bin/nc', 'h.example', '24']],
    ['exec /usr/bin/nc -x 127.0.0.1:1080 %h %p', ['/usr/bin/nc', '-x', '127.0.0.1:1080', 'h.example', '24']],
    [
      'access ssh --hostname %n --user %r 100%%',
      ['/opt/cloud/access', 'ssh', '--hostname', 'a', '--user', 'bob', '100%'],
    ],
    ["access 'two $words;' \"and 'more'\" a'b'c", ['/opt/cloud/access', 'two $words;', "and 'more'", 'abc']],
    ["ssh -W '[%h]:%p' gate", ['/usr/bin/ssh', '-W', '[h.example]:24', 'gate']],
  ])('that the operator has named is a program with arguments: %s', async (line, argv) => {
    const { proxy, told, host } = await found(line)
    if (argv.length === 0) expect(host?.disabled).toContain('ProxyCommand')
    else
      expect({ proxy, told, disabled: host?.disabled }).toEqual({ proxy: argv, told: undefined, disabled: undefined })
  })

  const unnamed = 'it would run a program that MUSTER_PROXY_COMMANDS does not name'
  const shell = 'Muster starts a program with plain arguments, and no shell'
  it.each<[string, string]>([
    ['socat - TCP:%h:%p', unnamed],
    ['/tmp/nc %h %p', unnamed],
    ['../nc %h %p', unnamed],
    ['NC %h %p', unnamed],
    ['env nc %h %p', unnamed],
    ['nc %h %p | tee log', shell],
    ['nc %h %p; id', shell],
    ['nc %h %p 2>/dev/null', shell],
    ['nc $(hostname) %p', shell],
    ['nc `hostname` %p', shell],
    ['nc "$HOST" %p', shell],
    ['nc $HOST %p', shell],
    ['nc \\%h %p', shell],
    ['nc "$" %h', shell],
    ['nc *', shell],
    ['~/bin/nc %h %p', shell],
    ['LC_ALL=C nc %h %p', unnamed],
    ['exec', shell],
    ['nc %h %Z', 'the token %Z is not known here'],
  ])('of any other kind disables the host: %s', async (line, why) => {
    const { proxy, told, host } = await found(line)
    expect({ proxy, told }).toEqual({ proxy: undefined, told: [why] })
    expect(host?.disabled).toContain('its SSH config has ProxyCommand, which Muster does not follow')
  })

  it('is off unless a program is named, and with ProxyUseFdpass', async () => {
    expect((await found('nc %h %p', [])).told).toEqual([unnamed])
    const handed = await found('nc -F %h %p\n ProxyUseFdpass yes')
    expect(handed.told).toContain('with ProxyUseFdpass the program hands over a connection')
    expect(handed.host?.disabled).toContain('ProxyCommand')
  })

  it('makes another machine of the same address', async () => {
    const text = 'Host a b c\n HostName h.example\nHost b c\n ProxyCommand nc %h %p\nHost c\n User other\n'
    const { host } = await open(text, { proxyPrograms: programs })
    expect([host('a')?.machine, host('b')?.machine, host('c')?.machine]).toEqual(['a', 'b', 'b'])
  })

  it('leads to the machine for another user, too, whom a request names', async () => {
    const text = 'Host b\n HostName h.example\n User bob\n ProxyCommand nc %h %p\n'
    const { source } = await open(text, { proxyPrograms: programs })
    const [bob, root] = ['bob@b', 'root@b'].map((name) => source.current().find(name))
    expect(bob?.name).toBe('b')
    expect(root).toMatchObject({ name: 'root@b', machine: 'b', isOfRequest: true, proxy: bob?.proxy })
  })
})

describe('an agent that a config names', () => {
  it.runIf(process.getuid?.() === 0)('must belong to the user of the worker or to root', async () => {
    const socket = join(home, 'agent')
    await writeFile(socket, '')
    expect(await ownAgent(socket, undefined)).toBe(socket)
    await chown(socket, 12_345, 0)
    await expect(ownAgent(socket, undefined)).rejects.toThrow(
      `the agent ${socket} is not used: it belongs to user 12345, not to the worker's user or root`,
    )
    // That of the environment is the worker's own word.
    expect(await ownAgent(socket, socket)).toBe(socket)
  })
})

describe('how a host is reached', () => {
  const reach = async (text: string) => {
    const { host } = await open(`Host a\n${text}`)
    const { knownHostsFiles, hostKeys, keyExchanges, connectTimeoutMs, env, notTaken, disabled } = host('a') ?? {}
    const told = notTaken?.map(({ option, line, why }) => `${line} ${option}: ${why}`)
    return { knownHostsFiles, hostKeys, keyExchanges, connectTimeoutMs, env, told, disabled }
  }
  const nothing = {
    knownHostsFiles: undefined,
    hostKeys: undefined,
    keyExchanges: undefined,
    connectTimeoutMs: undefined,
    env: undefined,
    told: undefined,
    disabled: undefined,
  }

  it('has the files, algorithms, time and variables of its config', async () => {
    expect(
      await reach('  UserKnownHostsFile /k/%h "/with blank"\n  ConnectTimeout 1m\n  SetEnv A=1 "B=2 3=4" A=5\n'),
    ).toEqual({
      ...nothing,
      knownHostsFiles: ['/k/a', '/with blank'],
      connectTimeoutMs: 60_000,
      env: { A: '1', B: '2 3=4' },
    })
    const { hostKeys, keyExchanges } = await reach(
      '  HostKeyAlgorithms ^ssh-rsa\n  KexAlgorithms -*sha1,*sha512,ecdh*\n',
    )
    expect(hostKeys?.slice(0, 2)).toEqual(['ssh-rsa', 'ssh-ed25519'])
    expect(keyExchanges).toEqual([
      'curve25519-sha256@libssh.org',
      'curve25519-sha256',
      'diffie-hellman-group-exchange-sha256',
      'diffie-hellman-group14-sha256',
    ])
  })

  it('says which algorithms it cannot offer, and is disabled where none is left', async () => {
    const some = await reach(
      '  KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256\n  HostKeyAlgorithms +ssh-dss\n',
    )
    expect(some.keyExchanges).toEqual(['curve25519-sha256'])
    expect(some.told).toEqual([
      '2 KexAlgorithms: Muster cannot offer sntrup761x25519-sha512@openssh.com',
      '3 HostKeyAlgorithms: Muster cannot offer ssh-dss',
    ])
    const none = await reach('  KexAlgorithms diffie-hellman-group1-sha1\n')
    expect(none.disabled).toContain('its SSH config has KexAlgorithms of which Muster can offer none')
  })

  it('is known somewhere, whatever its config says', async () => {
    const { told, ...rest } = await reach('  UserKnownHostsFile /dev/null\n  StrictHostKeyChecking no\n')
    expect({ ...rest, told: undefined }).toEqual(nothing)
    expect(told).toEqual([
      '2 UserKnownHostsFile: a host key must be known somewhere: the files of MUSTER_KNOWN_HOSTS count',
      '3 StrictHostKeyChecking: host keys are always checked, and never added by themselves',
    ])
  })

  it('is as ever where its config says what is so anyway', async () => {
    expect(
      await reach('  StrictHostKeyChecking ask\n  ForwardAgent no\n  Compression no\n  ConnectTimeout 0\n'),
    ).toEqual(nothing)
  })
})

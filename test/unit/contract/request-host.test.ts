/** Hosts that a request names itself: what is one, its one name, and what is none. */
import { Connect, foldHosts, isOneHost, parseRequestHost, parseTargets, writeRequestHost } from '@muster/contract'
import { describe, expect, it, test } from 'vitest'

/** The terms of an expression: the names of hosts of a request, and the kinds of the others. */
function read(expression: string): string[] {
  return parseTargets(expression).map(({ term }) => {
    if (term.kind !== 'request_host') return term.kind
    const { user = '(none)' } = term.host
    return writeRequestHost({ ...term.host, user })
  })
}

describe('a host of a request', () => {
  it.each([
    ['root@10.0.0.5', 'root@10.0.0.5'],
    ['root@10.0.0.5:22', 'root@10.0.0.5'],
    ['root@10.0.0.5:2222', 'root@10.0.0.5:2222'],
    ['ssh://root@10.0.0.5:2222/', 'root@10.0.0.5:2222'],
    ['root@WEB01.Example.COM.', 'root@web01.example.com'],
    ['deploy_1.x+y-z@my_host-1', 'deploy_1.x+y-z@my_host-1'],
    ['root@2001:db8:0:0::5', 'root@[2001:db8::5]'],
    ['root@2001:db8::5:22', 'root@[2001:db8::5:22]'],
    ['root@[2001:DB8::5]:22', 'root@[2001:db8::5]'],
    ['ssh://root@[2001:db8::5]:2222', 'root@[2001:db8::5]:2222'],
    ['root@fe80::1%eth0', 'root@[fe80::1%eth0]'],
    ['root@[fe80::1%eth0]:2222', 'root@[fe80::1%eth0]:2222'],
    ['root@::ffff:10.0.0.5', 'root@10.0.0.5'],
    ['root@[::ffff:a00:5]:2222', 'root@10.0.0.5:2222'],
  ])('%s is called %s, and is found again by that name', (text, name) => {
    expect(read(text)).toEqual([name])
    expect(read(name)).toEqual([name])
    expect(isOneHost(name)).toBe(true)
  })

  it('stands among names, groups and operators', () => {
    const kinds = ['names', 'root@10.0.0.5', 'group', 'admin@[::1]:23', 'labels', 'parentheses']
    expect(read('web[01-02], root@10.0.0.5!@web & ssh://admin@[::1]:23 ^ {env=prod},(u@h)')).toEqual(kinds)
  })

  it('may lack the user only in a URL', () => {
    expect(parseRequestHost('ssh://10.0.0.5:2222')).toEqual({ address: '10.0.0.5', port: 2222 })
    expect(parseRequestHost('10.0.0.5')).toBeUndefined()
  })

  it.each([
    'root@',
    '-oProxyCommand=x@10.0.0.5',
    'root@-oProxyCommand=x',
    'root@%h',
    'root@host%h',
    'root@$(id)',
    'root@`id`',
    "root@'h'",
    'root@h;id',
    'root@h|id',
    'root@h\nid',
    'root@h\0',
    'ro ot@h',
    'root@@h',
    'a@b@c',
    'root:secret@h',
    'ssh://root:secret@h',
    'root@h:0',
    'root@h:65536',
    'root@h:22x',
    'root@h:',
    'root@h:22:23',
    'root@10.1',
    'root@0x7f.1',
    'root@010.0.0.5',
    'root@10.0.0.5.',
    'root@10.0.0.*',
    'root@web*',
    'root@web[01-12]',
    'root@[10.0.0.5]',
    'root@[::1',
    'root@[::1]x',
    'root@[::g]',
    'root@a..b',
    'root@-a',
    'root@a-',
    `root@${'a'.repeat(64)}`,
    `root@${'a.'.repeat(127)}aa`,
    `${'u'.repeat(65)}@h`,
    'ssh://',
    'ssh://@h',
    'http://root@h',
    'root@h/path',
  ])('%j is none', (text) => {
    expect(() => parseTargets(text)).toThrow(/ at position \d+, not /)
    expect(isOneHost(text)).toBe(false)
  })

  it('is never folded into a range', () => {
    const names = ['web1', 'root@10.0.0.5', 'web2', 'root@10.0.0.6', 'root@[2001:db8::5]:2222', 'root@10.0.0.5']
    const folded = foldHosts(names)
    expect(folded).toBe('web[1-2],root@10.0.0.5,root@10.0.0.6,root@[2001:db8::5]:2222')
    expect(read(folded)).toEqual(['names', 'root@10.0.0.5', 'root@10.0.0.6', 'root@[2001:db8::5]:2222'])
  })
})

test.each([
  [{ user: 'root', port: 22, jump: 'bastion,root@[::1]:23', identity_file: '~/.ssh/x' }, true],
  [{ host_key: `SHA256:${'a'.repeat(43)}`, credential: 'lab' }, true],
  [{ user: '-l' }, false],
  [{ user: 'a b' }, false],
  [{ port: 0 }, false],
  [{ jump: 'a,-oProxyCommand=x' }, false],
  [{ jump: 'a@b,a@b,a@b,a@b,a@b' }, false],
  [{ identity_file: 'id_ed25519' }, false],
  [{ identity_file: '/etc/x\n' }, false],
  [{ identity_file: '/k', credential: 'lab' }, false],
  [{ host_key: 'SHA256:short' }, false],
  [{ proxy_command: 'x' }, false],
])('connect %j is taken: %s', (given, isTaken) => {
  expect(Connect.safeParse(given).success).toBe(isTaken)
})

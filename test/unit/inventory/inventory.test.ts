/** What an inventory file gives: hosts with their credentials, groups, and the hosts that an expression selects. */
import { MusterError } from '@muster/contract'
import { parseInventory } from '@muster/inventory'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const usual = [{ kind: 'key', identityFile: '/home/me/.ssh/id_rsa' }] as const
const defaults = { home: '/home/me', user: 'me', credentials: usual }
const parse = (text: string) => parseInventory(text, '/etc/muster/inventory.yaml', defaults)

function failure(act: () => unknown): MusterError {
  try {
    act()
  } catch (error) {
    if (error instanceof MusterError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const FLEET = `
defaults: { user: deploy, port: 2200, identity_file: ~/.ssh/deploy }
hosts:
  web01: { address: 10.0.0.11, labels: { env: prod, zone: a, version: 1.10 } }
  web02: { address: "[2001:db8::2]", labels: { env: test } }
  "n[098-100]": { address: "10.1.0.[98-100]", jump: bastion }
  bastion: { address: 203.0.113.7, user: jump, port: 22, agent: true }
  10: { address: ten.example.com, host_key_alias: ten }
groups:
  prod: "{env=prod}"
  elsewhere: "{zone!=a, env=test}"
  web: "web[01-02]"
  rest: "@*!@web!n[098-099]"
  nested: "@rest,web02"
  prod-web: "{env=prod}&@web"
  some: "n*,(@web^web01)"
`

describe('hosts', () => {
  it('come in the order of the file, with defaults filled in', () => {
    const { hosts } = parse(FLEET)
    expect([...hosts.keys()]).toEqual(['web01', 'web02', 'n098', 'n099', 'n100', 'bastion', '10'])
    expect(hosts.get('web01')).toEqual({
      name: 'web01',
      aliases: [],
      machine: 'web01',
      address: '10.0.0.11',
      port: 2200,
      user: 'deploy',
      labels: { env: 'prod', zone: 'a', version: '1.10' },
      credentials: [{ kind: 'key', identityFile: '/home/me/.ssh/deploy' }],
      groups: ['prod', 'web', 'prod-web'],
    })
    expect(hosts.get('web02')?.address).toBe('2001:db8::2')
    expect(hosts.get('10')?.hostKeyAlias).toBe('ten')
  })

  it('of a range pair up with the addresses, in order', () => {
    const { hosts } = parse(FLEET)
    expect(hosts.get('n098')).toMatchObject({ address: '10.1.0.98', jump: 'bastion' })
    expect(hosts.get('n100')).toMatchObject({ address: '10.1.0.100', jump: 'bastion' })
  })

  it('may share an address when their ports pair up', () => {
    const { hosts } = parse('hosts:\n  "n[1-2]": { address: 127.0.0.1, port: "[2201-2202]" }\n')
    expect([...hosts.values()].map(({ address, port }) => `${address}:${port}`)).toEqual([
      '127.0.0.1:2201',
      '127.0.0.1:2202',
    ])
  })

  it('without an address are reached by their name, on port 22, as the default user', () => {
    expect(parse('hosts:\n  db.example.com:\n').hosts.get('db.example.com')).toMatchObject({
      address: 'db.example.com',
      port: 22,
      user: 'me',
      credentials: usual,
    })
  })

  it('cannot be changed', () => {
    const web = parse(FLEET).hosts.get('web01')
    for (const part of [web, web?.aliases, web?.labels, web?.credentials, web?.credentials[0], web?.groups]) {
      expect(Object.isFrozen(part)).toBe(true)
    }
  })
})

describe('credentials', () => {
  const credentialsOf = (fields: string) =>
    parse(`defaults: { agent: true }\nhosts:\n  h: ${fields}\n`).hosts.get('h')?.credentials

  it.each([
    ['{}', [{ kind: 'agent' }]],
    ['{ identity_file: keys/a }', [{ kind: 'key', identityFile: '/etc/muster/keys/a' }]],
    [
      '{ identity_file: /k, passphrase_env: P }',
      [{ kind: 'key', identityFile: '/k', passphrase: { kind: 'env', name: 'P' } }],
    ],
    [
      '{ identity_file: /k, passphrase_file: ~/p }',
      [{ kind: 'key', identityFile: '/k', passphrase: { kind: 'file', path: '/home/me/p' } }],
    ],
    ['{ password_file: /run/secrets/p }', [{ kind: 'password', secret: { kind: 'file', path: '/run/secrets/p' } }]],
    [
      '{ password_env: P, agent: true, identity_file: /k }',
      [
        // The agent may hold this key, and is asked for no other.
        { kind: 'key', identityFile: '/k' },
        { kind: 'password', secret: { kind: 'env', name: 'P' } },
      ],
    ],
  ])('of %s replace those of the defaults', (fields, expected) => {
    expect(credentialsOf(fields)).toEqual(expected)
  })

  it.each([
    ['{}', { kind: 'env', name: 'S' }],
    ['{ sudo_password_file: s }', { kind: 'file', path: '/etc/muster/s' }],
    ['{ sudo_password_env: T, password_env: P }', { kind: 'env', name: 'T' }],
  ])('for sudo are those of the host, else of the defaults: %s', (fields, expected) => {
    const inventory = parse(`defaults: { sudo_password_env: S }\nhosts:\n  h: ${fields}\n`)
    expect(inventory.hosts.get('h')?.sudoPassword).toEqual(expected)
    expect(inventory.hosts.get('h')?.credentials).toHaveLength(fields.includes('P') ? 1 : defaults.credentials.length)
  })

  it('for sudo are absent where none is named', () => {
    expect(parse('hosts:\n  h: { password_env: P }\n').hosts.get('h')).not.toHaveProperty('sudoPassword')
  })

  it('from the agent carry its socket when this process knows one', () => {
    const inventory = parseInventory('hosts:\n  h: { agent: true }\n', 'x.yaml', {
      ...defaults,
      agentSocket: '/run/agent',
    })
    expect(inventory.hosts.get('h')?.credentials).toEqual([{ kind: 'agent', socket: '/run/agent' }])
  })
})

describe('disabled hosts', () => {
  it.each([
    ['true', 'no reason given'],
    ['broken disk, ticket 7', 'broken disk, ticket 7'],
    ['false', undefined],
  ])('disabled: %s', (value, expected) => {
    const { hosts } = parse(`hosts:\n  "n[1-2]": { address: "10.0.0.[1-2]", disabled: "${value}" }\n  b: {}\n`)
    expect([...hosts.values()].map(({ disabled }) => disabled)).toEqual([expected, expected, undefined])
  })

  it('are selected as others are: a job says that it skipped them', () => {
    expect(parse('hosts: { a: { disabled: true }, b: }').resolve('@*')).toEqual(['a', 'b'])
  })
})

describe('groups', () => {
  it.each([
    ['prod', ['web01']],
    ['elsewhere', ['web02']],
    ['rest', ['n100', 'bastion', '10']],
    ['nested', ['n100', 'bastion', '10', 'web02']],
    ['prod-web', ['web01']],
    ['some', ['n098', 'n099', 'n100', 'web02']],
  ])('@%s', (name, expected) => {
    expect(parse(FLEET).groups.get(name)).toEqual(expected)
  })

  it('a label that is absent meets every "!="', () => {
    const { groups } = parse('hosts:\n  a: {}\n  b: { labels: { env: prod } }\ngroups:\n  g: "{env!=prod}"\n')
    expect(groups.get('g')).toEqual(['a'])
  })

  it('may refer to groups that are defined below them', () => {
    const { groups } = parse('hosts: { a: , b: }\ngroups:\n  all: "@first,b"\n  first: a\n')
    expect(groups.get('all')).toEqual(['a', 'b'])
  })
})

describe('resolve', () => {
  it.each([
    ['web02,web01,web02', ['web02', 'web01']],
    ['@*', ['web01', 'web02', 'n098', 'n099', 'n100', 'bastion', '10']],
    ['*', ['web01', 'web02', 'n098', 'n099', 'n100', 'bastion', '10']],
    ['@web,n[098-100]!n099', ['web01', 'web02', 'n098', 'n100']],
    ['@*!@rest!@web', ['n098', 'n099']],
    ['web01!web01,web01', ['web01']],
    ['web01,n098&@web', ['web01']],
    ['web01,(n098&@web)', ['web01']],
    ['bastion,web02&@*', ['bastion', 'web02']],
    ['@web^web02,10', ['web01', '10']],
    ['@web^@web,10', ['10']],
    ['n09?', ['n098', 'n099']],
    ['n[098,100]*', ['n098', 'n100']],
    ['*b*,w*2', ['web01', 'web02', 'bastion']],
    ['{env=prod}', ['web01']],
    ['{env=prod|test}', ['web01', 'web02']],
    ['{env=prod|test,zone=a}', ['web01']],
    ['@web&{zone!=a}', ['web02']],
    ['{env!=prod|test}', ['n098', 'n099', 'n100', 'bastion', '10']],
    ['web01,{env=absent}', ['web01']],
    ['{env=absent}', []],
    ['{constructor!=x}&web01', ['web01']],
    ['@web!@web', []],
  ])('%s', (expression, expected) => {
    const names = parse(FLEET).resolve(expression)
    expect(names).toEqual(expected)
    expect(Object.isFrozen(names)).toBe(true)
  })

  it('names the hosts nearest to an unknown one, and where it stands', () => {
    const error = failure(() => parse(FLEET).resolve('web01,wbe02'))
    expect(error).toMatchObject({
      code: 'unknown_target',
      details: { position: 6, nearest: ['web02', 'web01'] },
    })
    expect(error.message).toBe('no such host in the inventory: wbe02; the nearest are web02, web01')
  })

  it('names the group when only the "@" is missing, and the host when it is too much', () => {
    expect(failure(() => parse(FLEET).resolve('nested')).details.nearest).toEqual(['@nested'])
    expect(failure(() => parse(FLEET).resolve('@bastion')).details.nearest).toEqual(['bastion'])
  })

  it.each(['@*!web03', 'web01&web03', 'web01^web03', 'web01,(web01!web03)'])(
    'refuses an unknown host wherever it stands: %s',
    (expression) => {
      expect(failure(() => parse(FLEET).resolve(expression)).code).toBe('unknown_target')
    },
  )

  it('folds many unknown hosts into one short text', () => {
    const { message } = failure(() => parse(FLEET).resolve('x[1-9000]'))
    expect(message).toBe('no such host in the inventory: x[1-9000]')
  })

  it('never invents a host for a wildcard, and names the one that matches nothing', () => {
    const error = failure(() => parse(FLEET).resolve('web*,db[1-2]*,*'))
    expect(error).toMatchObject({ code: 'unknown_target', details: { position: 5 } })
    expect(error.message).toBe('no host in the inventory matches db[1-2]*')
    const none = parse('hosts:\n')
    expect(failure(() => none.resolve('*'))).toMatchObject({ code: 'unknown_target', details: { position: 0 } })
    expect(none.resolve('@*')).toEqual([])
  })

  it('passes on what is wrong with the expression itself', () => {
    expect(failure(() => parse(FLEET).resolve('@web,,x'))).toMatchObject({
      code: 'invalid_target',
      details: { position: 5 },
    })
  })

  it('knows the hosts of a job only, when it is asked within one, also those that have left the inventory', () => {
    const within = (expression: string) => parse(FLEET).resolve(expression, { within: ['gone', 'web02', 'n098'] })
    expect(within('@*')).toEqual(['gone', 'web02', 'n098'])
    expect(within('*n*')).toEqual(['gone', 'n098'])
    expect(within('@web,gone')).toEqual(['web02', 'gone'])
    expect(within('{env=test}')).toEqual(['web02'])
    expect(within('@prod')).toEqual([])
    const error = failure(() => within('web02,web01'))
    expect(error).toMatchObject({ code: 'unknown_target', details: { position: 6, nearest: ['web02'] } })
    expect(error.message).toBe('no such host in the job: web01; did you mean "web02"?')
  })

  it('refuses an expression that would be compared with all hosts thousands of times', () => {
    const large = parse('hosts:\n  "n[1-10000]": { address: a, port: "[1-10000]" }\n')
    for (const term of ['*1', '@*', '{a!=b}']) {
      const error = failure(() => large.resolve(Array.from({ length: 1_000 }, () => term).join(',')))
      expect(error.code).toBe('invalid_target')
      expect(error.message).toMatch(/^too many terms over too many hosts, up to the one at position \d+/)
    }
    expect(large.resolve('@*!*7*&{a!=b}!n[1-10]').length).toBeGreaterThan(6_000)
  })

  it('selects known hosts only, each once, as working on sets one step after the other would', () => {
    const inventory = parse(FLEET)
    const terms = fc.constantFrom('web01', 'web02', 'n[098-100]', 'bastion', '@*', '@web', '@rest', '{env=test}', 'n*')
    const steps = fc.array(fc.tuple(fc.constantFrom(',', '!', '&', '^'), terms), { maxLength: 8 })
    fc.assert(
      fc.property(terms, steps, (first, rest) => {
        let expected: string[] = []
        for (const [op, term] of [[',', first] as const, ...rest]) {
          const names = inventory.resolve(term)
          const kept = expected.filter((name) => names.includes(name) === (op === '&'))
          const added = names.filter((name) => !expected.includes(name))
          if (op === ',') expected = [...expected, ...added]
          else expected = op === '^' ? [...kept, ...added] : kept
        }
        const expression = first + rest.map(([op, term]) => op + term).join('')
        expect(inventory.resolve(expression)).toEqual(expected)
      }),
    )
  })
})

/** What an inventory may say of a program that gives secrets, and which programs that can be. */
import { chmod, chown, link, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseInventory } from '@muster/inventory'
import { describe, expect, test } from 'vitest'
import { earlyRefusals } from '../../../libs/inventory/src/secrets/early-refusals.ts'
import { findNamedProgram } from '../../../libs/inventory/src/secrets/named-program.ts'
import { temporaryDirectory } from '../../support/inventory/test-inventory.ts'

const HOME = { home: '/home/me', user: 'me', credentials: [] }

function hostOf(fields: string, defaults = '{}') {
  return parseInventory(`defaults: ${defaults}\nhosts:\n  db01: { ${fields} }\n`, 'i.yaml', HOME).hosts.get('db01')
}

const COMMAND = 'credential_command: [/opt/give, --store, a b]'
const argv = ['/opt/give', '--store', 'a b']

describe('an entry', () => {
  test('names a program that gives the password, which is kept for five minutes', () => {
    const secret = { kind: 'command', gives: 'password', argv, ttlS: 300 }
    expect(hostOf(COMMAND)?.credentials).toEqual([{ kind: 'password', secret }])
    expect(hostOf('', `{ ${COMMAND} }`)?.credentials).toEqual([{ kind: 'password', secret }])
  })

  test('says what it gives and how long that is good', () => {
    const host = hostOf(`${COMMAND}, credential_kinds: [key, passphrase, sudo_password], credential_ttl_s: 0`)
    const of = (gives: string) => ({ kind: 'command', gives, argv, ttlS: 0 })
    expect(host?.credentials).toEqual([{ kind: 'given_key', secret: of('key'), passphrase: of('passphrase') }])
    expect(host?.sudoPassword).toEqual(of('sudo_password'))
  })

  test('leaves the credentials of defaults where the program gives the password of sudo alone', () => {
    const host = hostOf(`${COMMAND}, credential_kinds: sudo_password`, '{ identity_file: ~/key }')
    expect(host?.credentials).toEqual([{ kind: 'key', identityFile: '/home/me/key' }])
    expect(host?.sudoPassword).toMatchObject({ gives: 'sudo_password' })
  })

  test('names who certifies the keys of runs: a program, or the key of an authority and its passphrase', () => {
    const by = { kind: 'command', gives: 'certificate', argv: ['/opt/sign'], ttlS: 0 }
    const host = hostOf('certificate: per_run, certificate_command: [/opt/sign], password_env: MUSTER_SECRET_X')
    const password = { kind: 'password', secret: { kind: 'env', name: 'MUSTER_SECRET_X' } }
    expect(host?.credentials).toEqual([{ kind: 'run_certificate', by }, password])
    const own = hostOf('certificate: per_run, certificate_authority_file: ~/ca, passphrase_env: MUSTER_SECRET_CA')
    const passphrase = { kind: 'env', name: 'MUSTER_SECRET_CA' }
    const authority = { kind: 'authority', identityFile: '/home/me/ca', passphrase }
    expect(own?.credentials).toEqual([{ kind: 'run_certificate', by: authority }])
  })

  test('begins a program with ~/', () => {
    const [credential] = hostOf('credential_command: [~/bin/give]')?.credentials ?? []
    expect(credential).toMatchObject({ secret: { argv: ['/home/me/bin/give'] } })
  })

  test.each([
    ['credential_command: /opt/give hunter2', 'credential_command: expected a program and its arguments, such as'],
    ['credential_command: []', 'credential_command: the program is an absolute path'],
    ['credential_command: [give, hunter2]', 'credential_command: the program is an absolute path'],
    ['credential_command: [./give]', 'credential_command: the program is an absolute path'],
    ['credential_command: [/opt/give, [hunter2]]', 'credential_command.1: expected text'],
    ['credential_kinds: password', 'credential_kinds: give credential_command beside it'],
    ['credential_ttl_s: 5', 'credential_ttl_s: give credential_command beside it'],
    [`${COMMAND}, credential_kinds: passwd`, 'credential_kinds: expected password, sudo_password, passphrase or key'],
    [`${COMMAND}, credential_ttl_s: 3601`, 'credential_ttl_s: expected seconds, from 0 (ask each time) to 3600'],
    [`${COMMAND}, credential_ttl_s: -1`, 'credential_ttl_s: expected seconds'],
    [`${COMMAND}, password_file: x`, 'credential_kinds: the same secret as password_file; give one of the two'],
    [`${COMMAND}, password_env: MUSTER_SECRET_X`, 'credential_kinds: the same secret as password_env; give one'],
    [
      `${COMMAND}, credential_kinds: sudo_password, sudo_password_file: x`,
      'credential_kinds: the same secret as sudo_password_file',
    ],
    [`${COMMAND}, credential_kinds: key, identity_file: x`, 'credential_kinds: a key and identity_file; give one'],
    ['certificate_file: x', 'certificate_file: a certificate of which key? give identity_file beside it'],
    ['certificate: yes', 'certificate: expected per_run; one in a file is certificate_file'],
    ['certificate: per_run', 'certificate: give certificate_command or certificate_authority_file beside it'],
    ['certificate_command: [/opt/sign]', 'certificate_command: give "certificate: per_run" beside it'],
    [
      'certificate: per_run, certificate_command: [/opt/sign], certificate_authority_file: ca',
      'certificate_authority_file: another way to certify than certificate_command; give one of the two',
    ],
    [
      'certificate: per_run, certificate_authority_file: ca, identity_file: x',
      'identity_file: with "certificate: per_run" the key of the run is the only one',
    ],
    [`${COMMAND}, credential_kinds: passphrase`, 'credential_kinds: a passphrase of which key?'],
  ])('is refused in words, without what it holds: %s', (fields, words) => {
    expect(() => hostOf(fields)).toThrow(`hosts.db01.${words}`)
    expect(() => hostOf(fields)).not.toThrow('hunter2')
  })
})

/** A program in a directory of its own. */
async function makeProgram(): Promise<{ directory: string; program: string }> {
  const directory = await temporaryDirectory()
  await mkdir(join(directory, 'bin'), { mode: 0o755 })
  const program = join(directory, 'bin/give')
  await writeFile(program, '#!/bin/sh\necho secret\n', { mode: 0o755 })
  return { directory, program }
}

describe('a program', () => {
  test('is run if the operator has named it, or a directory above it', async () => {
    const { directory, program } = await makeProgram()
    for (const named of [[program], [directory], ['/nowhere', join(directory, 'bin')]]) {
      expect(await findNamedProgram('credential command', program, named)).toBe(program)
    }
  })

  test('is not run because the inventory names it', async () => {
    const { directory, program } = await makeProgram()
    await mkdir(join(directory, 'other'))
    const words = "it is not among the programs that the worker's operator names in MUSTER_CREDENTIAL_COMMANDS"
    for (const named of [[], [join(directory, 'other')], [`${program}2`], ['/bin/sh']]) {
      await expect(findNamedProgram('credential command', program, named)).rejects.toThrow(words)
    }
  })

  test('is where links lead, of the name in the inventory and of the name of the operator', async () => {
    const { directory, program } = await makeProgram()
    const alias = join(directory, 'alias')
    await symlink(program, alias)
    expect(await findNamedProgram('credential command', alias, [program])).toBe(program)
    expect(await findNamedProgram('credential command', program, [alias])).toBe(program)
    const shell = join(directory, 'bin/shell')
    await symlink('/bin/sh', shell)
    await expect(findNamedProgram('credential command', shell, [directory])).rejects.toThrow(
      'which is not among the programs',
    )
    await expect(
      findNamedProgram('credential command', join(directory, 'bin/../../../bin/sh'), [directory]),
    ).rejects.toThrow('/bin/sh')
    await symlink(join(directory, 'circle'), join(directory, 'circle'))
    await expect(findNamedProgram('credential command', join(directory, 'circle'), [directory])).rejects.toThrow(
      'a link in a circle',
    )
  })

  test('is not any program of the system because its directory was named', async () => {
    await expect(findNamedProgram('credential command', '/usr/bin/env', ['/usr/bin'])).rejects.toThrow(
      'name the program itself',
    )
    await expect(findNamedProgram('credential command', '/usr/bin/env', ['/'])).rejects.toThrow(
      'name the program itself',
    )
    expect(await findNamedProgram('credential command', '/usr/bin/env', ['/usr/bin', '/usr/bin/env'])).toBe(
      '/usr/bin/env',
    )
  })

  test('is not run if others can change it, or what leads to it', async () => {
    const { directory, program } = await makeProgram()
    await chmod(program, 0o757)
    await expect(findNamedProgram('credential command', program, [program])).rejects.toThrow(
      `others can change it: chmod go-w ${program}`,
    )
    await chmod(program, 0o755)
    await chmod(join(directory, 'bin'), 0o777)
    await expect(findNamedProgram('credential command', program, [program])).rejects.toThrow(
      `chmod go-w ${directory}/bin`,
    )
  })

  test.skipIf(process.getuid?.() !== 0)('is not run if it belongs to somebody else', async () => {
    const { program } = await makeProgram()
    await chown(program, 12_345, 0)
    await expect(findNamedProgram('credential command', program, [program])).rejects.toThrow('belongs to user 12345')
  })

  test('that cannot be run is told', async () => {
    const { directory, program } = await makeProgram()
    await chmod(program, 0o644)
    await expect(findNamedProgram('credential command', program, [directory])).rejects.toThrow(
      `not executable: chmod +x ${program}`,
    )
    await expect(findNamedProgram('credential command', `${program}2`, [directory])).rejects.toThrow(
      'cannot be run: ENOENT',
    )
    await expect(findNamedProgram('credential command', join(directory, 'bin'), [directory])).rejects.toThrow(
      'not a regular file',
    )
  })

  test('that will be refused is told early, once, with its hosts', async () => {
    const { directory, program } = await makeProgram()
    await link(program, join(directory, 'bin/second'))
    const text = `hosts:
  "a[1-3]": { credential_command: [${program}, x] }
  b: { credential_command: [${directory}/bin/second], credential_kinds: [password, sudo_password] }
`
    const { hosts } = parseInventory(text, 'i.yaml', HOME)
    const directories = { home: '/nowhere', named: [], inventory: () => undefined }
    expect(await earlyRefusals(hosts.values(), directories, [directory])).toEqual([])
    expect(await earlyRefusals(hosts.values(), directories, [`${directory}/bin/second`])).toEqual([
      expect.stringContaining(`a[1-3]: the credential command ${program} is not run`),
    ])
  })
})

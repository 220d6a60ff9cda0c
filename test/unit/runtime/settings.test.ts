/** Which settings a process believes: from which files, which variables of them, and in which order. */

import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readSettings, type SettingsRequest } from '@muster/runtime'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

let home: string
let config: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'muster-settings-'))
  config = join(home, '.config/muster')
  mkdirSync(config, { recursive: true, mode: 0o700 })
})
afterEach(() => rmSync(home, { recursive: true }))

/** Writes a file below the home and answers its path. */
function put(name: string, text: string, mode = 0o600): string {
  const path = join(home, name)
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

const read = ({ env = {}, ...rest }: Partial<SettingsRequest> = {}) =>
  readSettings({ env: { HOME: home, ...env }, ...rest })

async function refusal(request?: Partial<SettingsRequest>): Promise<string> {
  return await read(request).then(
    ({ env }) => `accepted: ${JSON.stringify(env)}`,
    (error: unknown) => String(error),
  )
}

describe('the order of sources', () => {
  test('is: command line, environment, the named file, the directory of settings', async () => {
    put('.config/muster/muster.env', 'MUSTER_PORT=1\nMUSTER_HOST=a\nLOG_LEVEL=debug\nMUSTER_INVENTORY=own.yaml\n')
    const envFile = put('more.env', 'MUSTER_PORT=2\nMUSTER_HOST=b\n')
    const { env } = await read({ env: { MUSTER_PORT: '3' }, envFile, inventory: '/x/named.yaml' })
    expect(env).toMatchObject({ MUSTER_PORT: '3', MUSTER_HOST: 'b', LOG_LEVEL: 'debug' })
    expect(env.MUSTER_INVENTORY).toBe('/x/named.yaml')
  })

  test('counts NAME and NAME_FILE as one: no lower source adds the other form', async () => {
    put('.config/muster/muster.env', 'MUSTER_API_KEY=low\nREDIS_URL_FILE=/low\n')
    const { env } = await read({ env: { MUSTER_API_KEY_FILE: '/high', REDIS_URL: 'redis://high' } })
    expect([env.MUSTER_API_KEY, env.REDIS_URL_FILE]).toEqual([undefined, undefined])
  })

  test('lets an empty variable unset what a file sets', async () => {
    put('.config/muster/.env', 'MUSTER_URL=http://127.0.0.1:1\n')
    expect((await read({ env: { MUSTER_URL: '' } })).env.MUSTER_URL).toBe('')
  })

  test('has one file of the directory: two are refused, whatever they say', async () => {
    put('.config/muster/.env', '')
    put('.config/muster/muster.env', '')
    expect(await refusal()).toMatch(/There are both .*muster\.env and .*\.env\. Keep one/)
  })

  test('is the environment alone where another process has read the files', async () => {
    put('.config/muster/muster.env', 'MUSTER_PORT=1\n')
    expect((await read({ envOnly: true })).env.MUSTER_PORT).toBeUndefined()
  })
})

describe('from a file', () => {
  test("only Muster's own variables are read; the others are named, and no value is shown", async () => {
    const secret = 'c2VjcmV0LXBpZWNlLW9mLWEta2V5'
    put(
      '.config/muster/muster.env',
      [
        'export MUSTER_PORT=1',
        ...['NODE_OPTIONS', 'PATH', 'LD_PRELOAD', 'HOME', 'SSH_AUTH_SOCK'].map((name) => `${name}=--require=/x`),
        'muster_url=x',
        'MUSTER_CONFIG_DIR=/x',
        'REDIS_URL_FILE=/r',
        `${secret}=`,
      ].join('\n'),
    )
    const { env, notes, places } = await read()
    expect(env).toEqual({
      HOME: home,
      MUSTER_PORT: '1',
      REDIS_URL_FILE: '/r',
      MUSTER_DATA_DIR: join(home, '.local/state/muster'),
      MUSTER_INVENTORY: join(config, 'inventory.yaml'),
    })
    expect(places.configDir).toBe(config)
    expect(notes).toEqual([
      expect.stringContaining(
        'left out: HOME, LD_PRELOAD, MUSTER_CONFIG_DIR, NODE_OPTIONS, PATH, SSH_AUTH_SOCK, 2 more',
      ),
    ])
    expect(notes.join()).not.toMatch(/require|c2VjcmV0/)
  })

  test('relative paths start at its directory, and ~ is the home', async () => {
    put(
      '.config/muster/muster.env',
      'MUSTER_INVENTORY=hosts/all.yaml\nMUSTER_KNOWN_HOSTS=known:~/.ssh/known_hosts:/etc/k\nMUSTER_DATA_DIR=~/state\n' +
        'MUSTER_SECRET_DIRS=secrets:/run/secrets\n' +
        'MUSTER_API_KEY_FILE=key\nMUSTER_LOG_FILE=~/log\n',
    )
    expect((await read()).env).toMatchObject({
      MUSTER_INVENTORY: join(config, 'hosts/all.yaml'),
      MUSTER_KNOWN_HOSTS: `${config}/known:${home}/.ssh/known_hosts:/etc/k`,
      MUSTER_DATA_DIR: join(home, 'state'),
      MUSTER_SECRET_DIRS: `${config}/secrets:/run/secrets`,
      MUSTER_API_KEY_FILE: join(config, 'key'),
      MUSTER_LOG_FILE: join(home, 'log'),
    })
  })
})

describe('where a process is started in folders of others', () => {
  test.each([
    ['MUSTER_INVENTORY', { env: { MUSTER_INVENTORY: 'inventory.yaml' } }],
    ['MUSTER_DATA_DIR', { env: { MUSTER_DATA_DIR: './.muster' } }],
    ['MUSTER_API_KEY_FILE', { env: { MUSTER_API_KEY_FILE: '../key' } }],
    ['MUSTER_KNOWN_HOSTS', { env: { MUSTER_KNOWN_HOSTS: '/etc/known:known_hosts' } }],
    ['--inventory', { inventory: 'inventory.yaml' }],
    ['--env-file', { envFile: '.env' }],
  ])('a relative path is refused: %s', async (name, request) => {
    expect(await refusal({ ...request, absoluteOnly: true })).toMatch(
      new RegExp(`${name}: received ".*"; give an absolute path`),
    )
  })

  test('an absolute one, one in the home, and one in a file of settings are not', async () => {
    put('.config/muster/muster.env', 'MUSTER_DATA_DIR=state\n')
    const env = { MUSTER_INVENTORY: '~/hosts.yaml', MUSTER_KNOWN_HOSTS: '/a:~/b', MUSTER_SSH_CONFIG: '', PWD: 'x' }
    expect((await read({ env, absoluteOnly: true })).env.MUSTER_DATA_DIR).toBe(join(config, 'state'))
  })
})

describe('a file is refused, with the command that corrects it,', () => {
  test.each([0o602, 0o622, 0o666])('when others can write to it (%o)', async (mode) => {
    const file = put('.config/muster/muster.env', 'MUSTER_PORT=1\n', mode)
    const text = `others can write to it (mode 0${mode.toString(8)}). If you trust what is in it: chmod go-w ${file}`
    expect(await refusal()).toContain(text)
  })

  test('when others can write to its directory', async () => {
    put('.config/muster/muster.env', 'MUSTER_PORT=1\n')
    chmodSync(config, 0o777)
    expect(await refusal()).toContain(`others can write to its directory ${config} (mode 0777)`)
    expect(await refusal()).toContain(`chmod go-w ${config}`)
  })

  test.skipIf(process.getuid?.() !== 0)('when it, or its directory, belongs to another user', async () => {
    const file = put('.config/muster/muster.env', 'MUSTER_PORT=1\n')
    chownSync(file, 12_345, 0)
    expect(await refusal()).toContain(
      `it belongs to user 12345, not to root. If you trust what is in it: chown 0 ${file}`,
    )
    chownSync(file, 0, 0)
    chownSync(config, 12_345, 0)
    expect(await refusal()).toContain(`its directory ${config} belongs to user 12345`)
  })

  test('when it is a link to such a file, and not when it is a link to a good one', async () => {
    const target = put('elsewhere.env', 'MUSTER_PORT=1\n', 0o666)
    symlinkSync(target, join(config, 'muster.env'))
    expect(await refusal()).toContain(`chmod go-w ${target}`)
    chmodSync(target, 0o600)
    expect((await read()).env.MUSTER_PORT).toBe('1')
  })

  test('when it is no file; a pipe keeps nobody waiting', async () => {
    execFileSync('sh', ['-c', 'mkfifo "$1"', 'sh', join(config, 'muster.env')])
    expect(await refusal()).toContain('it is not a regular file')
    expect(await refusal({ envFile: home })).toContain('it is not a regular file')
  })

  test('when it was named and is not there', async () => {
    expect(await refusal({ envFile: join(home, 'absent.env') })).toContain(`there is no file ${home}/absent.env`)
  })
})

describe('the directory of settings', () => {
  test('is the one that MUSTER_CONFIG_DIR names, which must be there and must be absolute', async () => {
    const other = join(home, 'other')
    expect(await refusal({ env: { MUSTER_CONFIG_DIR: other } })).toContain('which is no directory')
    mkdirSync(other)
    put('other/muster.env', 'MUSTER_PORT=5\n')
    put('.config/muster/muster.env', 'MUSTER_PORT=1\nMUSTER_HOST=a\n')
    const { env } = await read({ env: { MUSTER_CONFIG_DIR: other } })
    expect([env.MUSTER_PORT, env.MUSTER_HOST, env.MUSTER_INVENTORY]).toEqual([
      '5',
      undefined,
      `${other}/inventory.yaml`,
    ])
    expect(await refusal({ env: { MUSTER_CONFIG_DIR: '.' } })).toContain('received "."; give an absolute path')
  })

  test('may be a link to a directory of the same user', async () => {
    rmSync(config, { recursive: true })
    mkdirSync(join(home, 'dotfiles'), { mode: 0o700 })
    symlinkSync(join(home, 'dotfiles'), config)
    put('dotfiles/muster.env', 'MUSTER_PORT=1\n')
    expect((await read()).env.MUSTER_PORT).toBe('1')
    chmodSync(join(home, 'dotfiles'), 0o777)
    expect(await refusal()).toContain('chmod go-w')
  })

  test('and that of state are below the XDG directories, and relative ones are no such directories', async () => {
    mkdirSync(join(home, 'xdg/muster'), { recursive: true })
    const { places } = await read({ env: { XDG_CONFIG_HOME: join(home, 'xdg'), XDG_STATE_HOME: 'here' } })
    expect(places).toEqual({
      home,
      configDir: join(home, 'xdg/muster'),
      stateDir: join(home, '.local/state/muster'),
      userStateDir: join(home, '.local/state/muster'),
    })
  })

  test.each([undefined, '', '.', 'here'])('is never below the working directory: HOME=%j', async (HOME) => {
    const { env, places } = await readSettings({ env: { HOME, MUSTER_CONFIG_DIR: config } })
    for (const path of [env.HOME, env.MUSTER_DATA_DIR, places.userStateDir]) expect(path).toMatch(/^\//)
    expect(env.MUSTER_DATA_DIR?.startsWith(process.cwd())).toBe(false)
  })
})

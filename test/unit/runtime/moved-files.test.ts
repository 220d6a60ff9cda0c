/** A person whose files are where Muster looked for them before is told, once and with the command. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { readSettings } from '@muster/runtime'
import { afterEach, beforeEach, expect, test } from 'vitest'

let home: string
let cwd: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "muster-it's moved-"))
  cwd = join(home, "o'ps; touch pwned")
  mkdirSync(cwd)
})
afterEach(() => rmSync(home, { recursive: true }))

function put(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileSync(path, text, { mode: 0o600 })
}

async function notes(env: Record<string, string> = {}): Promise<string> {
  return (await readSettings({ env: { HOME: home, XDG_CONFIG_HOME: join(home, '.config'), ...env }, cwd })).notes.join(
    '\n',
  )
}

const INVENTORY = 'hosts:\n  a: { address: 192.0.2.1 }\n'

test('the command moves all of it, whatever the directory is called, and then nothing is said', async () => {
  put(join(cwd, '.env'), 'MUSTER_PORT=0\n')
  put(join(cwd, 'inventory.yaml'), INVENTORY)
  put(join(cwd, '.muster/api-key'), 'k')
  put(join(cwd, '.muster/redis/endpoint.json'), '{}')
  const note = await notes()
  expect(note).toMatch(
    /^no longer used where they are: \.\/\.env, \.\/inventory\.yaml, \.\/\.muster\. If they are yours/,
  )
  execFileSync('sh', ['-ec', note.replace(/.*move them: /, '')], { cwd })
  for (const file of ['.config/muster/muster.env', '.config/muster/inventory.yaml', '.local/state/muster/api-key']) {
    expect([file, existsSync(join(home, file))]).toEqual([file, true])
  }
  expect(existsSync(join(home, '.local/state/muster/redis/endpoint.json'))).toBe(true)
  expect(existsSync(join(cwd, 'pwned'))).toBe(false)
  expect(await notes()).toBe('')
})

test('what muster mcp kept in ~/.muster is listed, too', async () => {
  put(join(home, '.muster/inventory.yaml'), INVENTORY)
  put(join(home, '.muster/api-key'), 'k')
  const note = await notes()
  execFileSync('sh', ['-ec', note.replace(/.*move them: /, '')], { cwd })
  expect(existsSync(join(home, '.config/muster/inventory.yaml'))).toBe(true)
  expect(existsSync(join(home, '.local/state/muster/api-key'))).toBe(true)
  expect(await notes()).toBe('')
})

test('what is in the home directory is listed by itself, for an agent that may start anywhere', async () => {
  put(join(home, '.muster/inventory.yaml'), INVENTORY)
  put(join(cwd, '.env'), 'MUSTER_PORT=0\n')
  const { homeNote, notes: all } = await readSettings({ env: { HOME: home }, cwd })
  expect(homeNote).toMatch(/^no longer used where they are: \/.*\.muster\/inventory\.yaml\. /)
  expect(homeNote).not.toContain('.env')
  expect(all.join()).toContain('./.env')
})

test('data that was left behind when new data was made is told, with the variable that names it', async () => {
  put(join(cwd, '.muster/api-key'), 'old')
  put(join(home, '.local/state/muster/api-key'), 'new')
  const note = await notes()
  expect(note).toMatch(
    /^\.\/\.muster holds data of Muster that is not used, because .*muster is in use\. If it is yours/,
  )
  const [, assignment = ''] = / start with (MUSTER_DATA_DIR=.*); if not/.exec(note) ?? []
  const named = execFileSync('sh', ['-ec', `${assignment}; printf %s "$MUSTER_DATA_DIR"`], { cwd }).toString()
  expect(named).toBe(join(cwd, '.muster'))
  expect(await notes({ MUSTER_DATA_DIR: named })).toBe('')
})

test('nobody is told of files of other programs, nor where the new place is in use', async () => {
  put(join(cwd, '.env'), 'DATABASE_URL=x\n')
  put(join(cwd, 'inventory.yaml'), 'all:\n  children: {}\n')
  mkdirSync(join(cwd, '.muster'))
  expect(await notes()).toBe('')
  put(join(cwd, '.env'), 'MUSTER_PORT=0\n')
  put(join(cwd, 'inventory.yaml'), INVENTORY)
  put(join(home, '.config/muster/muster.env'), '')
  expect(await notes({ MUSTER_INVENTORY: '/etc/hosts.yaml', MUSTER_DATA_DIR: '/srv/muster' })).toBe('')
})

/** What `muster up` takes of the directory that a person starts it in, and when. */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { readSettings } from '@muster/runtime'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readOwnFolder } from '../../../apps/cli/src/stack/own-folder.ts'
import { startMuster } from '../../support/cli/muster-process.ts'
import { HAS_TERMINAL, nodeOnTerminal } from '../../support/cli/terminal.ts'

let home: string
let folder: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'muster-own-'))
  folder = join(home, 'project')
  mkdirSync(folder, { mode: 0o755 })
  mkdirSync(join(home, '.config/muster'), { recursive: true, mode: 0o700 })
})
afterEach(() => rmSync(home, { recursive: true }))

function put(name: string, text: string): string {
  const path = join(home, name)
  writeFileSync(path, text)
  return path
}

const INVENTORY = 'hosts:\n  own: { address: 192.0.2.1 }\n'

async function taken(env: Record<string, string> = {}) {
  return await readOwnFolder(folder, await readSettings({ env: { HOME: home, ...env } }))
}

describe('on a terminal', () => {
  test('takes .env and inventory.yaml, and names the variables', async () => {
    put('project/.env', 'MUSTER_PORT=0\nNODE_OPTIONS=--require=./evil\nMUSTER_API_KEY_FILE=key\n')
    put('project/inventory.yaml', INVENTORY)
    const { values, line, notes } = await taken()
    const inventory = { MUSTER_INVENTORY: join(folder, 'inventory.yaml') }
    expect(values).toEqual({ MUSTER_PORT: '0', MUSTER_API_KEY_FILE: join(folder, 'key'), ...inventory })
    expect(line).toContain(`Taken from ${folder}: .env (MUSTER_API_KEY_FILE, MUSTER_PORT) and inventory.yaml, because`)
    expect(notes).toEqual([expect.stringContaining('left out: NODE_OPTIONS')])
  })

  test('takes no directories of secrets, which would have any file sent to a host of a cloned project', async () => {
    put('project/.env', 'MUSTER_SECRET_DIRS=~/.aws\nMUSTER_PORT=0\n')
    const { values, line, notes } = await taken()
    expect(values).toEqual({ MUSTER_PORT: '0' })
    expect(line).not.toContain('MUSTER_SECRET_DIRS')
    expect(notes).toEqual([expect.stringMatching(/MUSTER_SECRET_DIRS is not taken .* set it in .*muster\.env$/s)])
  })

  test('takes no programs that give secrets, which would have a cloned project run what it likes', async () => {
    put('project/.env', 'MUSTER_CREDENTIAL_COMMANDS=bin\nMUSTER_CREDENTIAL_COMMAND_ENV=AWS_SECRET_ACCESS_KEY\n')
    const { values, notes } = await taken()
    expect(values).toEqual({})
    expect(notes).toHaveLength(2)
    expect(notes[0]).toMatch(/MUSTER_CREDENTIAL_COMMANDS is not taken .* run programs of its own/)
  })

  test('the name of the directory cannot hide the line', async () => {
    folder = join(home, 'pro\x1b[2K\r\nject')
    mkdirSync(folder, { mode: 0o755 })
    writeFileSync(join(folder, '.env'), 'MUSTER_PORT=0\n')
    expect((await taken()).line).toMatch(/^Taken from [ -~]*ject: \.env \(MUSTER_PORT\)/)
  })

  test('takes nothing that another source has', async () => {
    put('project/.env', 'MUSTER_PORT=0\nMUSTER_API_KEY=k\n')
    put('project/inventory.yaml', INVENTORY)
    put('.config/muster/muster.env', 'MUSTER_API_KEY_FILE=key\n')
    put('.config/muster/inventory.yaml', INVENTORY)
    expect(await taken({ MUSTER_PORT: '1' })).toEqual({ values: {}, line: undefined, notes: [] })
    expect((await taken({ MUSTER_INVENTORY: '/nowhere', MUSTER_PORT: '1' })).line).toBeUndefined()
  })

  test.each(['.env', 'inventory.yaml'])('takes no %s that others can write to, or that is a link', async (name) => {
    const file = put(`project/${name}`, name === '.env' ? 'MUSTER_PORT=0\n' : INVENTORY)
    chmodSync(file, 0o666)
    expect(await taken()).toMatchObject({ values: {}, line: undefined, notes: [expect.stringContaining('chmod go-w')] })
    chmodSync(file, 0o644)
    chmodSync(folder, 0o777)
    expect(await taken()).toMatchObject({ values: {}, line: undefined })
    chmodSync(folder, 0o755)
    rmSync(file)
    symlinkSync(put('elsewhere', 'MUSTER_PORT=0\nhosts:\n'), file)
    expect(await taken()).toMatchObject({
      values: {},
      line: undefined,
      notes: [expect.stringContaining('it is a link')],
    })
  })

  test.skipIf(process.getuid?.() !== 0)('takes nothing of another user', async () => {
    chownSync(put('project/.env', 'MUSTER_PORT=0\n'), 12_345, 0)
    expect(await taken()).toMatchObject({ values: {}, notes: [expect.stringContaining('belongs to user 12345')] })
  })
})

describe('muster up', () => {
  /** Without Redis it ends soon. */
  const env = () => ({ PATH: '/nonexistent', HOME: home })

  test('without a terminal takes nothing, and says that it does not', async () => {
    put('project/.env', 'MUSTER_PORT=0\n')
    put('project/inventory.yaml', INVENTORY)
    const { out, said } = await startMuster(env(), { cwd: folder }, 'up').end()
    expect(out.toString()).not.toContain('Taken')
    expect(said).toContain('no longer used where they are: ./.env, ./inventory.yaml. If they are yours, and not')
  })

  test.skipIf(!HAS_TERMINAL)('on a terminal says what it takes in its first line', async () => {
    put('project/.env', 'MUSTER_PORT=0\nNODE_OPTIONS=x\n')
    const terminal = nodeOnTerminal([resolve('apps/cli/bin/muster.js'), 'up'], {
      cwd: folder,
      env: { ...env(), PATH: process.env.PATH, REDIS_URL: 'redis://127.0.0.1:1' },
    })
    const lines = Buffer.concat(await terminal.stdout.toArray())
      .toString()
      .split('\r\n')
    expect(lines[0]).toMatch(
      /^Taken from .*project: \.env \(MUSTER_PORT\), because you started muster up on a terminal/,
    )
    expect(lines[1]).toContain('left out: NODE_OPTIONS')
  })
})

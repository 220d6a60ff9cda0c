/** The recipes ask their stores of secrets for the right thing, each with a stand-in for the store's program. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { askProgram } from '@muster/runtime'
import { describe, expect, onTestFinished, test } from 'vitest'

const RECIPES = [
  ['vault', ['secret', 'ssh'], 'kv|get|-mount=secret|-field=password|ssh/db01|'],
  ['op', ['Servers'], 'read|--no-newline|op://Servers/db01/password|'],
  ['sops', ['/etc/secrets.yaml'], 'decrypt|--extract|["db01"]["password"]|/etc/secrets.yaml|'],
] as const

/** Asks a recipe; its store prints its arguments, and ends with this status. */
function ask(store: string, args: readonly string[], question: string, status = 0) {
  const directory = mkdtempSync(join(tmpdir(), 'muster-recipe-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const script = `#!/bin/sh\nprintf '%s|' "$@"\nexit ${status}\n`
  writeFileSync(join(directory, store), script, { mode: 0o755 })
  const file = resolve(`examples/credentials/from-${store}.sh`)
  const env = { PATH: `${directory}:${process.env.PATH}` }
  return askProgram({ file, calledAs: file, args, env, question, timeoutMs: 20_000, answerLimitBytes: 1_000 })
}

const QUESTION = { version: 1, kind: 'password', host: 'db01', address: '10.0.2.1', port: 22, user: 'deploy' }

describe.each(RECIPES)('from-%s.sh', (store, args, command) => {
  test('asks for the secret of the host by its kind, and gives what the store says', async () => {
    const asked = await ask(store, args, `${JSON.stringify(QUESTION)}\n`)
    expect(asked).toMatchObject({ ok: true, answer: Buffer.from(command) })
  })

  test('fails when the store does', async () => {
    expect(await ask(store, args, JSON.stringify(QUESTION), 3)).toMatchObject({ ok: false, why: 'ended with status 3' })
  })

  test.each([
    [{ ...QUESTION, host: 'db01/../root' }],
    [{ ...QUESTION, host: '-version' }],
    [{ ...QUESTION, kind: 'a"]["b' }],
    [{ kind: 'password', user: 'x","host":"db02' }],
  ])('asks the store nothing that is no plain word: %j', async (question) => {
    expect(await ask(store, args, JSON.stringify(question))).toMatchObject({
      why: 'ended with status 64',
      answer: Buffer.alloc(0),
    })
  })
})

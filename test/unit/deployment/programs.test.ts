/** The programs that rolldown.config.ts makes of the apps. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { describe, expect, test } from 'vitest'

/** With native parts; the others are not installed, and whoever asks for them does without. */
const OUTSIDE = new Set(['ssh2', 'msgpackr-extract', 'supports-color', 'pg', '@valkey/valkey-glide'])

const LOADED = /^(?:import|export) .*?from "([^"]+)"|^import "([^"]+)"|\b(?:import|__require)\("([^"]+)"\)/gm

describe.each(['server', 'worker', 'cli', 'demo'])('the program of %s', (app) => {
  const dist = `apps/${app}/dist`
  const codes = readdirSync(dist).filter((name) => name.endsWith('.js'))

  test('loads nothing that is not in it, but what has native parts', () => {
    const loaded = codes.flatMap((name) => {
      const words = [...readFileSync(`${dist}/${name}`, 'utf8').matchAll(LOADED)]
      return words.map(([, from, bare, called]) => from ?? bare ?? called ?? '')
    })
    const others = loaded.filter((name) => !/^(node:|\.\/)/.test(name) && !isBuiltin(name) && !OUTSIDE.has(name))
    expect([...new Set(others)]).toEqual([])
    const own = loaded.filter((name) => name.startsWith('./')).map((name) => name.slice(2))
    expect(codes).toEqual(expect.arrayContaining(own))
    expect(own).toContain('program.js')
  })
})

test('a stack trace names the files that people wrote', () => {
  const plant = "process.stdout.write = () => { throw new Error('planted') }"
  const preload = ['--import', `data:text/javascript,${encodeURIComponent(plant)}`]
  const { stderr } = spawnSync(process.execPath, [...preload, 'apps/cli/dist/main.js', '--help'], { encoding: 'utf8' })
  const lines = readFileSync('apps/cli/src/main.ts', 'utf8').split('\n')
  const line = lines.findIndex((text) => text.includes('out(helpOn(')) + 1
  expect(stderr).toContain('planted')
  expect(stderr).toContain(`apps/cli/src/main.ts:${line}:`)
})

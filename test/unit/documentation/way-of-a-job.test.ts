/**
 * "From the door to the exit code" in docs/architecture.md is true: its files are there, each is called by one before
 * it, and the way is short.
 */
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { expect, test } from 'vitest'

const MOST_HOPS = 15
const START_WORKER = 'apps/worker/src/start-worker.ts'

const hops = hopsOf(readFileSync('docs/architecture.md', 'utf8'))

test('the way from the door to the exit code has files that are there, fifteen at most', () => {
  expect(hops.length).toBeGreaterThan(10)
  expect(hops.length).toBeLessThanOrEqual(MOST_HOPS)
  expect(hops.filter((path) => !existsSync(path))).toEqual([])
  expect(hops[0]).toBe('apps/server/src/rest/rest.ts')
  expect(hops.at(-1)).toBe('libs/ledger/lua/steps/finish.lua')
})

test('each hop is called by one before it', () => {
  const strays = hops.filter((path, i) => i > 0 && !hops.slice(0, i).some((caller) => calls(caller, path)))
  expect(strays).toEqual([])
})

test('a file that no hop calls is found', () => {
  const strangers = ['apps/server/src/rest/openapi.ts', 'libs/ledger/lua/steps/cancel.lua', 'libs/ssh/src/pool/pool.ts']
  expect(strangers.filter((path) => existsSync(path) && !hops.some((caller) => calls(caller, path)))).toEqual(strangers)
})

/** The links of the numbered lines of the section, as paths from the top of the repository. */
function hopsOf(page: string): string[] {
  const section = page.split(/^## /m).find((text) => text.startsWith('From the door to the exit code')) ?? ''
  return [...section.matchAll(/^\d+\. \[[^\]]+\]\(\.\.\/([^)]+)\)/gm)].map(([, path = '']) => path)
}

/**
 * Whether a file calls another one: by an import (of a type, where it is given the functions), by the name of a Lua
 * script, or across the queue.
 */
function calls(caller: string, called: string): boolean {
  const text = readFileSync(caller, 'utf8')
  if (called.endsWith('.lua')) return text.includes(`runScript(ledger, '${basename(called, '.lua')}'`)
  if (caller.endsWith('ticket-queue.ts') && called.endsWith('run-ticket.ts')) return isHandedToTheQueue(called)
  const [home, target] = [packageOf(caller), packageOf(called)]
  if (home !== target) return importsFrom(text, `@muster/${basename(target)}`).some((name) => exports(called, name))
  const path = relative(dirname(caller), called)
  return importsFrom(text, path.startsWith('.') ? path : `./${path}`).length > 0
}

/** A worker takes tickets out of the queue with a handler that calls this file. */
function isHandedToTheQueue(called: string): boolean {
  const wiring = readFileSync(START_WORKER, 'utf8')
  const [name = ''] = importsFrom(wiring, `./${relative(dirname(START_WORKER), called)}`)
  return new RegExp(`consumeTickets\\([^]*handle: \\(ticket\\) => ${name}\\(`).test(wiring)
}

/** What a file imports from a module. */
function importsFrom(text: string, module: string): string[] {
  const lists = [...text.matchAll(/^import (?:type )?\{([^}]*)\} from '([^']+)'/gm)].filter(
    ([, , from]) => from === module,
  )
  const names = lists.flatMap(([, list = '']) => list.split(',').map((name) => name.trim().replace(/^type /, '')))
  return names.filter((name) => name !== '')
}

function exports(path: string, name: string): boolean {
  return new RegExp(`^export (?:async )?function ${name}\\b`, 'm').test(readFileSync(path, 'utf8'))
}

function packageOf(path: string): string {
  return join(...path.split('/').slice(0, 2))
}

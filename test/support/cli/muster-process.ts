/** The `muster` command as a process, as a person starts it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { onTestFinished } from 'vitest'
import { apart } from '../runtime/apart.ts'
import type { Stack } from '../stack/stack.ts'

const MUSTER = resolve('apps/cli/bin/muster.js')

/** Starts `muster`, in another directory if one is given; what it prints can be watched while it runs. */
export function startMuster(env: Stack['env'], ...words: ReadonlyArray<string | { readonly cwd: string }>) {
  const args = words.filter((word) => typeof word === 'string')
  const cwd = words.find((word) => typeof word !== 'string')?.cwd
  const child = spawn(process.execPath, [MUSTER, ...args], { cwd, env: apart(env), stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const printed: Buffer[] = []
  const said: Buffer[] = []
  child.stdout.on('data', (bytes: Buffer) => printed.push(bytes))
  child.stderr.on('data', (bytes: Buffer) => said.push(bytes))
  const closed = once(child, 'close')
  return {
    child,
    out: () => Buffer.concat(printed),
    said: () => Buffer.concat(said).toString(),
    end: async () => {
      await closed
      return { status: child.exitCode, out: Buffer.concat(printed), said: Buffer.concat(said).toString() }
    },
  }
}

/** Runs `muster` to its end with this on its stdin, through a pipe. A reader that has had enough is no fault. */
export async function musterFed(env: Stack['env'], input: string | Buffer, ...args: string[]) {
  const child = spawn(process.execPath, [MUSTER, ...args], { env: apart(env), stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const [out, said] = await Promise.all([child.stdout.toArray(), child.stderr.toArray(), once(child, 'close')])
  return { status: child.exitCode, out: Buffer.concat(out), said: Buffer.concat(said).toString() }
}

/** Runs `muster` to its end. */
export const muster = (...given: Parameters<typeof startMuster>) => startMuster(...given).end()

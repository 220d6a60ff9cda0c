/** `npm run demo`: the main job on a fleet of hosts on this machine, as a person at a terminal sees it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Closers, untilSignal } from '@muster/runtime'
import { runDemo } from './run-demo.ts'

const isKept = process.argv.includes('--keep')
const say = (line: string) => process.stdout.write(`${line}\n`)
const closers = new Closers((line) => say(line))
const interrupted = new AbortController()
const finished = new AbortController()
const signalled = untilSignal({ onSecond: (_signal, status) => process.exit(status), abort: finished.signal })
signalled.then(
  () => interrupted.abort(),
  // The demo ended before anybody pressed Ctrl-C.
  () => {},
)

let status = 0
try {
  const dataDir = await mkdtemp(join(tmpdir(), 'muster-demo-'))
  closers.add('demo data', () => rm(dataDir, { recursive: true, force: true }))
  await runDemo({ dataDir, env: process.env, say, closers, signal: interrupted.signal })
  if (isKept && !interrupted.signal.aborted) {
    say('\nEverything keeps running until you press Ctrl-C.')
    await signalled
  }
} catch (error) {
  if (!interrupted.signal.aborted) {
    status = 1
    say(`The demo failed: ${error instanceof Error ? error.message : String(error)}`)
  }
}
finished.abort()
await closers.close().catch(() => {
  status = 1
})
if (status === 0) say('\nEverything the demo started has been stopped.')
process.exit(interrupted.signal.aborted && !isKept ? 130 : status)

/**
 * The server with a watch on its event loop: asked for "worst", it tells the longest that the loop was held up since it
 * was last asked, in milliseconds: by the clock, and by the CPU time spent meanwhile. On a machine that is busy with
 * other things the first says more of them than of the server; the second includes what other threads collect.
 */
import { pathToFileURL } from 'node:url'

/** How often the watch looks. */
const EVERY_MS = 1

const [main = ''] = process.argv.slice(2)
const worst = { wallMs: 0, cpuMs: 0 }
const now = () => {
  const { user, system } = process.cpuUsage()
  return { wallMs: performance.now(), cpuMs: (user + system) / 1_000 }
}
let last = now()
setInterval(() => {
  const looked = now()
  worst.wallMs = Math.max(worst.wallMs, looked.wallMs - last.wallMs - EVERY_MS)
  worst.cpuMs = Math.max(worst.cpuMs, looked.cpuMs - last.cpuMs)
  last = looked
}, EVERY_MS).unref()
process.on('message', (question) => {
  if (question !== 'worst') return
  process.send?.({ ...worst })
  Object.assign(worst, { wallMs: 0, cpuMs: 0 })
})
await import(pathToFileURL(main).href)

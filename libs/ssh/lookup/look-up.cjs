/**
 * The process that looks names up (src/look-ups.ts starts it): a name in, its addresses or a code out. A look-up takes a
 * thread for as long as the system's resolver wants, and nothing can stop it; here nobody else needs the threads.
 *
 * Plain CommonJS: Node runs it from where it lies, and has used none of its threads before the first line. It ends with
 * the process that started it.
 */
// libuv lets look-ups have half of the threads: 256 at once (AT_ONCE in look-ups.ts).
process.env.UV_THREADPOOL_SIZE = '512'
const { ADDRCONFIG, lookup } = require('node:dns')

// As node:net looks up by itself.
process.on('message', (name) => {
  lookup(name, { all: true, hints: ADDRCONFIG }, (error, addresses) => {
    if (process.connected) process.send({ name, ...(error ? { code: String(error.code) } : { addresses }) }, () => {})
  })
})
// An orderly exit would wait for the threads.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
// Ctrl-C in a terminal reaches the whole process group; the process that started this one decides.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {})

/**
 * The process that looks up names; src/connect/look-ups.ts starts it. A name comes in, its addresses or a code go out.
 * A look-up takes a thread for as long as the system's resolver wants, and cannot be stopped; here nobody else needs
 * the threads.
 *
 * Plain CommonJS: Node runs it in place, and has used none of its threads before the first line. It ends with the
 * process that started it.
 */
// libuv gives look-ups half of the threads: 256 at once (AT_ONCE in look-ups.ts).
process.env.UV_THREADPOOL_SIZE = '512'
const { ADDRCONFIG, lookup } = require('node:dns')

// As node:net itself looks up names.
process.on('message', (name) => {
  lookup(name, { all: true, hints: ADDRCONFIG }, (error, addresses) => {
    if (process.connected) process.send({ name, ...(error ? { code: String(error.code) } : { addresses }) }, () => {})
  })
})
// An orderly exit would wait for the threads.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
// Ctrl-C in a terminal reaches the whole process group; the process that started this one decides.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {})

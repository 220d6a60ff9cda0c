/** A connection that never logs in, and so keeps a place that a daemon with `MaxStartups 1:100:1` has for one only. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { onTestFinished } from 'vitest'

/** Takes the place on this port; it is given back by what this answers, or with the test. */
export async function holdStartup(port: number): Promise<() => void> {
  for (;;) {
    const socket = connect(port, '127.0.1.1').on('error', () => {})
    onTestFinished(() => {
      socket.destroy()
    })
    const [greeting] = await once(socket, 'data')
    if (String(greeting).startsWith('SSH-')) return () => socket.destroy()
  }
}

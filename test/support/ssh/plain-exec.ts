/** A bare `ssh host command`, with nothing of ours around it: what a run is compared with. */
import type { SshConnection } from '@muster/ssh'

/** What came of it. */
export type PlainEnd = {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly out: string
  readonly err: string
}

/** Runs a line to its end, with its stdin at the end at once. */
export function plainExec({ client }: SshConnection, line: string): Promise<PlainEnd> {
  return new Promise((resolve, reject) => {
    client.exec(line, (error, channel) => {
      if (error !== undefined) return reject(error)
      let [out, err] = ['', '']
      let exit: { exitCode: number | null; signal: string | null } = { exitCode: null, signal: null }
      channel.on('data', (bytes: Buffer) => {
        out += bytes
      })
      channel.stderr.on('data', (bytes: Buffer) => {
        err += bytes
      })
      channel.on('exit', (exitCode: number | null, signal?: string) => {
        exit = { exitCode, signal: signal?.replace(/^SIG/, '') ?? null }
      })
      channel.on('close', () => resolve({ ...exit, out, err }))
      channel.end()
    })
  })
}

/**
 * What really happened on the hosts: the notes that the commands themselves wrote, and the processes that are there.
 * Muster cannot write to either. Linux only: processes are looked up in /proc.
 */
import { readdir, readFile } from 'node:fs/promises'

/** One note of a command. */
export type Note = {
  /** By the clock of the machine, which is also that of Redis here. */
  readonly atMs: number
  readonly word: 'start' | 'alive' | 'end'
  /** Of `end`: the exit status, or SIG and the name of a signal. Empty for the others. */
  readonly result: string
}

/** The notes of all commands by {@link commandKey}. */
export type Notes = ReadonlyMap<string, readonly Note[]>

/** One command: a job on a host. */
export function commandKey(jobId: string, address: string): string {
  return `${jobId} ${address}`
}

/**
 * Reads the notes, in the order they were written.
 * @throws {Error} for a line that is no note: then nothing in the file can be trusted
 */
export function parseNotes(text: string): Notes {
  const notes = new Map<string, Note[]>()
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const [, id = '', address = '', ms, word, result = ''] =
      /^(\S+) (\S+) (\d+) (start|alive|end)(?: (\S+))?$/.exec(line) ?? []
    if (word !== 'start' && word !== 'alive' && word !== 'end') throw new Error(`not a note: ${line}`)
    const key = commandKey(id, address)
    const ofCommand = notes.get(key) ?? []
    ofCommand.push({ atMs: Number(ms), word, result })
    notes.set(key, ofCommand)
  }
  return notes
}

/** A process of a command. */
export type LiveProcess = { readonly pid: number; readonly key: string }

/** All processes of commands of this chaos run. */
export async function liveProcesses(nonce: string): Promise<LiveProcess[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(pids.map((pid) => lookAt(pid, nonce)))
  return found.flatMap((one) => (one === undefined ? [] : [one]))
}

async function lookAt(pid: string, nonce: string): Promise<LiveProcess | undefined> {
  const read = (what: string) => readFile(`/proc/${pid}/${what}`, 'latin1').catch(() => '') // It has ended meanwhile.
  const environment = await read('environ')
  // Its children have the mark in their environment, the shell itself in its arguments.
  const [, id] = new RegExp(`CHAOS_ID=${nonce}-(c\\d+)`).exec(`${environment}\0${await read('cmdline')}`) ?? []
  const [, address] = /(?:^|\0)SSH_CONNECTION=\S+ \S+ (\S+) /.exec(environment) ?? []
  return id === undefined || address === undefined ? undefined : { pid: Number(pid), key: commandKey(id, address) }
}

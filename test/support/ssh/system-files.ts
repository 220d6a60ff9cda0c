/**
 * System files of a process's own: another /etc/hosts and /etc/resolv.conf for it and its children, in a mount
 * namespace, and a resolver that takes questions and never answers. Root only.
 */
import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** Whether a process can be given files of its own here. */
export const HAS_OWN_FILES = process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0

const SILENT_RESOLVER = '127.9.9.9'

/**
 * Starts a resolver that says nothing, and answers the words to start a program by that asks it, after /etc/hosts with
 * these lines; and how many questions have come so far.
 */
export async function withSilentResolver(hosts: string) {
  let questions = 0
  const resolver = createSocket('udp4', () => {
    questions += 1
  })
  resolver.bind(53, SILENT_RESOLVER)
  await once(resolver, 'listening')
  onTestFinished(() => {
    resolver.close()
  })
  const dir = await mkdtemp(join(tmpdir(), 'muster-etc-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  await writeFile(join(dir, 'resolv.conf'), `nameserver ${SILENT_RESOLVER}\noptions timeout:30\n`)
  await writeFile(join(dir, 'hosts'), `127.0.0.1 localhost\n${hosts}\n`)
  const mount = (file: string) => `mount --bind ${join(dir, file)} /etc/${file}`
  const script = `${mount('resolv.conf')} && ${mount('hosts')} && exec "$@"`
  return {
    by: ['unshare', '--mount', 'sh', '-c', script, 'sh'],
    questions: () => questions,
    /** Changes the lines, for processes that run too. */
    setHosts: (lines: string) => writeFile(join(dir, 'hosts'), `127.0.0.1 localhost\n${lines}\n`),
  }
}

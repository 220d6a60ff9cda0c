/**
 * Other tools that run a command on many hosts, made alike: the same hosts, fan-out, user, key, strict known_hosts and
 * key exchange, by one configuration of OpenSSH. Installs from the system's packages what is missing.
 *
 * Only starts and measures them. What is compared with what is in hosts.ts.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Closers, installSystemPackage } from '@muster/runtime'
import type { SshdFacts } from '../support/ssh/sshd.ts'
import { namedCpuMs, runTimed } from './process-cost.ts'
import { say } from './table.ts'

/** A tool that runs `true` on all hosts. */
export type Peer = {
  readonly name: string
  /** How many rounds it is worth: one, for what takes a minute. */
  readonly rounds: number
  /** Runs it once. @throws when it fails on any host */
  run(): Promise<{ wallMs: number; cpuMs: number }>
}

/** Debian's packages and the programs wanted from them. */
const PACKAGES: ReadonlyArray<readonly [name: string, binary: string]> = [
  ['openssh-client', 'ssh'],
  ['pdsh', 'pdsh'],
  ['clustershell', 'clush'],
  ['pssh', 'parallel-ssh'],
  ['ansible-core', 'ansible'],
]

/** The masters of OpenSSH that end one after the other. */
const END_MASTERS_MS = 60_000

/** Makes them ready. Connections that one of them keeps open are opened here, and closed with `closers`. */
export async function preparePeers(
  closers: Closers,
  fleet: { facts: SshdFacts; addresses: readonly string[]; fanOut: number },
): Promise<Peer[]> {
  for (const [name, binary] of PACKAGES) {
    await installSystemPackage({ name, binary, env: process.env, allowInstall: true, log: say })
  }
  const { facts, addresses } = fleet
  const fanOut = String(fleet.fanOut)
  const dir = await mkdtemp(join(tmpdir(), 'muster-peers-'))
  closers.add('peers', () => rm(dir, { recursive: true, force: true }))
  const masters = join(dir, 'masters')
  await mkdir(masters)
  const config = [
    `Port ${facts.port}`,
    `User ${facts.user}`,
    `IdentityFile ${facts.keys.ed25519}`,
    'IdentitiesOnly yes',
    `UserKnownHostsFile ${facts.knownHostsFile}`,
    'GlobalKnownHostsFile /dev/null',
    'StrictHostKeyChecking yes',
    'KexAlgorithms curve25519-sha256',
    'BatchMode yes',
    'LogLevel ERROR',
  ]
  const [cold, warm, list, clusterShell] = ['cold', 'warm', 'hosts', 'clush.conf'].map((name) => join(dir, name))
  await writeFile(`${cold}`, [...config, 'ControlMaster no', ''].join('\n'))
  const control = ['ControlMaster auto', `ControlPath ${masters}/%h`, 'ControlPersist 600', '']
  await writeFile(`${warm}`, [...config, ...control].join('\n'))
  await writeFile(`${list}`, `${addresses.join('\n')}\n`)
  await writeFile(`${clusterShell}`, '[Main]\nconnect_timeout: 15\ncommand_timeout: 0\n')

  const env = {
    ...process.env,
    PDSH_SSH_ARGS_APPEND: `-F ${cold}`,
    ANSIBLE_HOST_KEY_CHECKING: 'True',
    ANSIBLE_SSH_ARGS: `-F ${cold}`,
    ANSIBLE_HOME: join(dir, 'ansible'),
    ANSIBLE_LOCAL_TEMP: join(dir, 'ansible-tmp'),
    ANSIBLE_PYTHON_INTERPRETER: '/bin/false',
  }
  const xargs = (...ssh: string[]) => ['xargs', '-a', `${list}`, '-P', fanOut, '-I', '{}', 'ssh', ...ssh]
  const peer = (name: string, rounds: number, command: readonly string[]): Peer => ({
    name,
    rounds,
    run: () => runTimed(command, env),
  })
  await runTimed(xargs('-F', `${warm}`, '{}', 'true'), env)
  closers.add(
    'masters',
    async () => {
      await runTimed(xargs('-F', `${warm}`, '-O', 'exit', '{}'), env)
    },
    END_MASTERS_MS,
  )
  const clush = ['clush', '--conf', `${clusterShell}`, '-q', '-S', '-f', fanOut, '-o', `-F ${cold}`]
  const pssh = ['parallel-ssh', '-p', fanOut, '-t', '0', '-x', `-F ${cold}`, '-h', `${list}`, 'true']
  const overMasters = xargs('-F', `${warm}`, '{}', 'true')
  return [
    peer('clush', 3, [...clush, '--hostfile', `${list}`, 'true']),
    peer('pdsh', 3, ['pdsh', '-S', '-R', 'ssh', '-f', fanOut, '-w', `^${list}`, 'true']),
    peer('pssh', 3, pssh),
    peer('xargs ssh', 3, xargs('-F', `${cold}`, '{}', 'true')),
    peer('ansible raw', 1, ['ansible', 'all', '-i', `${list}`, '-f', fanOut, '-m', 'raw', '-a', 'true']),
    {
      name: 'xargs ssh over ControlMaster (warm)',
      rounds: 3,
      run: async () => {
        const before = await namedCpuMs(masters)
        const { wallMs, cpuMs } = await runTimed(overMasters, env)
        return { wallMs, cpuMs: cpuMs + (await namedCpuMs(masters)) - before }
      },
    },
  ]
}

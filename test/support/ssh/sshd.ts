/**
 * One real OpenSSH daemon with its own configuration, keys and port. It listens on all of 127.0.0.0/8, so 127.0.1.1 to
 * 127.0.4.250 are a thousand hosts.
 *
 * As root, commands run as an ordinary user that is made for it and stays; otherwise as the present user, and then
 * there is no password to log in with. Touches no configuration of the machine. It ends with the process that started
 * it, however that ends.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { access, appendFile, chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { endWithUs } from '../runtime/end-with-us.ts'

/** What tests are told of the daemon. Files are paths of private keys; each has its public key beside it. */
export type SshdFacts = {
  readonly pid: number
  readonly port: number
  readonly user: string
  /** Null when the tests do not run as root: nobody else can set one. */
  readonly password: string | null
  /** For all addresses of the daemon, with its keys of all types. */
  readonly knownHosts: string
  readonly knownHostsFile: string
  /** More keys can be appended. */
  readonly authorizedKeysFile: string
  readonly keys: {
    readonly ed25519: string
    readonly encrypted: { readonly file: string; readonly passphrase: string }
    readonly rsaPkcs8: string
    readonly ecdsaPkcs8: string
  }
  /** Public keys of the daemon by type, such as "ssh-ed25519". */
  readonly hostKeys: Readonly<Record<string, string>>
}

/** A daemon that runs. */
export type Sshd = {
  readonly facts: SshdFacts
  /**
   * Kills the daemon and its sessions, and starts it again after so long, on the same port and with the same keys.
   * Commands go on without their session. Linux only. `facts.pid` is that of the first daemon.
   */
  restart(awayMs: number): Promise<void>
  /** What the daemon has logged since it was started last. With the setting `LogLevel INFO` that is each log-in. */
  log(): string
  /** Ends it and everything that runs below it. */
  close(): Promise<void>
}

const USER = 'mustertest'
const START_TIMEOUT_MS = 15_000
const run = promisify(execFile)

/**
 * Starts a daemon; installs OpenSSH where it is missing and that can be done unattended.
 * @param settings lines for its configuration, which count more than the usual ones
 * @param matches blocks of it, each beginning with `Match`
 */
export async function startSshd(settings: readonly string[] = [], matches: readonly string[] = []): Promise<Sshd> {
  const program = (await findSshd()) ?? (await installSshd())
  const dir = await mkdtemp(join(tmpdir(), 'muster-sshd-'))
  const removeDir = () => rm(dir, { recursive: true, force: true })
  try {
    // The daemon reads authorized_keys as the user that logs in.
    await chmod(dir, 0o755)
    const { user, password } = await prepareUser()
    const keys = await makeKeys(dir)
    const port = await freePort()
    const all = password === null ? await withOwnHome(dir, settings) : settings
    const config = await writeConfig(program, dir, port, all, matches)
    let { daemon, log } = await startDaemon(program, config, port)
    const knownHostsFile = join(dir, 'known_hosts')
    const knownHosts = Object.entries(keys.hostKeys).map(([type, key]) => `[127.0.*]:${port} ${type} ${key}\n`)
    await writeFile(knownHostsFile, knownHosts)
    const facts = {
      pid: daemon.pid ?? 0,
      port,
      user,
      password,
      ...keys,
      knownHosts: knownHosts.join(''),
      knownHostsFile,
      authorizedKeysFile: join(dir, 'authorized_keys'),
    }
    const restart = async (awayMs: number) => {
      await endWithSessions(daemon, isDaemonProcess)
      await setTimeout(awayMs)
      ;({ daemon, log } = await startDaemon(program, config, port))
    }
    const close = async () => {
      await endWithSessions(daemon)
      await removeDir()
    }
    return { facts, restart, log: () => log(), close }
  } catch (error) {
    await removeDir()
    throw error
  }
}

/** The process IDs of everything below a process, deepest last. */
export async function descendantsOf(pid: number): Promise<number[]> {
  const { stdout } = await run('ps', ['-A', '-o', 'pid=', '-o', 'ppid='])
  const pairs = stdout.split('\n').map((line) => line.trim().split(/ +/).map(Number))
  const below = (parent: number): number[] =>
    pairs.flatMap(([child = 0, itsParent]) => (itsParent === parent ? [child, ...below(child)] : []))
  return below(pid)
}

async function findSshd(): Promise<string | undefined> {
  const dirs = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  for (const dir of dirs.filter((candidate) => candidate.startsWith('/'))) {
    const file = join(dir, 'sshd')
    if (await succeeds(access(file))) return file
  }
  return undefined
}

async function succeeds(attempt: Promise<unknown>): Promise<boolean> {
  return await attempt.then(
    () => true,
    () => false,
  )
}

async function installSshd(): Promise<string> {
  // env alone changes nothing: it stands where sudo does.
  const [asRoot = '', ...rest] = process.getuid?.() === 0 ? ['env'] : ['sudo', '-n']
  // RUNLEVEL=1 keeps the package from starting a daemon of its own: ours is the only one that is wanted.
  const apt = [...rest, 'env', 'RUNLEVEL=1', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-y']
  const wasRunning = await ownDaemonPid()
  try {
    process.stderr.write('The tests need sshd: installing openssh-server with apt-get\n')
    await run(asRoot, [...apt, 'update'])
    await run(asRoot, [...apt, 'install', '--no-install-recommends', 'openssh-server', 'openssh-client'])
  } catch (cause) {
    const fix = 'sudo apt-get install openssh-server'
    throw new Error(`the tests need sshd, which is missing and cannot be installed unattended; run: ${fix}`, { cause })
  }
  const running = await ownDaemonPid()
  if (running !== undefined && running !== wasRunning) await run(asRoot, [...rest, 'kill', String(running)])
  const program = await findSshd()
  if (program === undefined) throw new Error('openssh-server was installed, but there is no sshd in /usr/sbin')
  return program
}

/** The daemon of the machine itself, if it runs. */
async function ownDaemonPid(): Promise<number | undefined> {
  const text = await readFile('/run/sshd.pid', 'utf8').catch(() => '')
  return text === '' ? undefined : Number(text)
}

async function prepareUser(): Promise<{ user: string; password: string | null }> {
  if (process.getuid?.() !== 0) return { user: userInfo().username, password: null }
  // The directory the daemon shuts itself into before a log-in; the package makes it only when a service starts.
  await mkdir('/run/sshd', { recursive: true, mode: 0o755 })
  await run('useradd', ['--create-home', '--shell', '/bin/sh', USER]).catch(async (error: unknown) => {
    // It is there from an earlier run, or another run is making it right now.
    await run('id', [USER]).catch(() => {
      throw error
    })
  })
  // The same for every run on this machine, as runs may overlap; and another one on every other.
  const machineId = await readFile('/etc/machine-id', 'utf8').catch(() => 'none')
  const password = createHash('sha256').update(`${USER} ${machineId}`).digest('base64url').slice(0, 24)
  const chpasswd = spawn('chpasswd', { stdio: ['pipe', 'ignore', 'inherit'] })
  chpasswd.stdin.end(`${USER}:${password}\n`)
  const [code] = await once(chpasswd, 'exit')
  if (code !== 0) throw new Error(`chpasswd could not set the password of ${USER}: exit status ${code}`)
  return { user: USER, password }
}

/**
 * Of somebody's account only the name is used: its start-up files may print, or start another shell, and what durable
 * runs keep belongs in no home directory of theirs.
 */
async function withOwnHome(dir: string, settings: readonly string[]): Promise<string[]> {
  const home = join(dir, 'home')
  await mkdir(home, { mode: 0o700 })
  // The first of several SetEnv lines counts, and in it the first value of a name.
  const isFirst = settings.every((line) => !line.startsWith('SetEnv '))
  const lines = settings.map((line) => (line.startsWith('SetEnv ') ? `${line} HOME=${home}` : line))
  return [...lines, ...(isFirst ? [`SetEnv HOME=${home}`] : [])]
}

async function makeKeys(dir: string): Promise<Pick<SshdFacts, 'keys' | 'hostKeys'>> {
  const passphrase = 'open sesame'
  const make = async (name: string, ...options: string[]) => {
    const file = join(dir, name)
    await run('ssh-keygen', ['-q', '-N', '', '-C', name, '-f', file, ...options])
    const [type = '', key = ''] = (await readFile(`${file}.pub`, 'utf8')).split(' ')
    return { file, type, key }
  }
  const [ed25519, rsa, ecdsa, encrypted, ...hostKeys] = await Promise.all([
    make('id_ed25519', '-t', 'ed25519'),
    make('id_rsa', '-t', 'rsa', '-b', '2048', '-m', 'PKCS8'),
    make('id_ecdsa', '-t', 'ecdsa', '-m', 'PKCS8'),
    make('id_encrypted', '-t', 'ed25519', '-N', passphrase),
    make('host_ed25519', '-t', 'ed25519'),
    make('host_ecdsa', '-t', 'ecdsa'),
    make('host_rsa', '-t', 'rsa', '-b', '2048'),
  ])
  for (const { type, key } of [ed25519, rsa, ecdsa, encrypted]) {
    await appendFile(join(dir, 'authorized_keys'), `${type} ${key}\n`, { mode: 0o644 })
  }
  const keys = {
    ed25519: ed25519.file,
    encrypted: { file: encrypted.file, passphrase },
    rsaPkcs8: rsa.file,
    ecdsaPkcs8: ecdsa.file,
  }
  return { keys, hostKeys: Object.fromEntries(hostKeys.map(({ type, key }) => [type, key])) }
}

async function writeConfig(
  program: string,
  dir: string,
  port: number,
  settings: readonly string[],
  matches: readonly string[],
): Promise<string> {
  const file = join(dir, 'sshd_config')
  const lines = [
    // The first of several lines counts.
    ...settings,
    `Port ${port}`,
    'ListenAddress 0.0.0.0',
    ...['ed25519', 'ecdsa', 'rsa'].map((type) => `HostKey ${join(dir, `host_${type}`)}`),
    `AuthorizedKeysFile ${join(dir, 'authorized_keys')}`,
    'PidFile none',
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication yes',
    'AllowTcpForwarding yes',
    // Of this one the last would count.
    ...(settings.some((line) => line.startsWith('MaxStartups ')) ? [] : ['MaxStartups 1000']),
    'MaxSessions 100',
    'PrintMotd no',
    'LogLevel ERROR',
  ]
  // Since OpenSSH 9.8, and on by default: failed log-ins, which tests are full of, would lock the tests out.
  await writeFile(file, [...lines, 'PerSourcePenalties no', ...matches, ''].join('\n'))
  if (!(await succeeds(run(program, ['-t', '-f', file])))) await writeFile(file, [...lines, ...matches, ''].join('\n'))
  return file
}

type Daemon = { readonly daemon: ChildProcess; readonly log: () => string }

async function startDaemon(program: string, config: string, port: number): Promise<Daemon> {
  const daemon = spawn(program, ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  endWithUs(daemon)
  const logged: Buffer[] = []
  daemon.stderr.on('data', (text: Buffer) => logged.push(text))
  const log = () => Buffer.concat(logged).toString()
  const deadline = performance.now() + START_TIMEOUT_MS
  while (daemon.exitCode === null && performance.now() < deadline) {
    if (await answers(port)) return { daemon, log }
  }
  daemon.kill('SIGKILL')
  throw new Error(`sshd did not start on port ${port}: ${log().slice(-4_000).trim() || 'it said nothing'}`)
}

/** Whether something says a word on the port. A refusal is no answer, and is waited on for a moment. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.setTimeout(2_000, () => socket.destroy())
    socket.on('error', () => {})
    socket.once('data', () => {
      resolve(true)
      socket.destroy()
    })
    socket.once('close', () => globalThis.setTimeout(() => resolve(false), 50))
  })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '0.0.0.0')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('the server listens on no TCP port')
  return address.port
}

async function isDaemonProcess(pid: number): Promise<boolean> {
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '') // It has ended meanwhile.
  return name.startsWith('sshd')
}

async function endWithSessions(daemon: ChildProcess, isIncluded = async (_pid: number) => true): Promise<void> {
  const { pid, exitCode, signalCode } = daemon
  if (pid === undefined || exitCode !== null || signalCode !== null) return
  const ended = once(daemon, 'exit')
  for (const one of [pid, ...(await descendantsOf(pid))]) {
    if (!(await isIncluded(one))) continue
    try {
      process.kill(one, 'SIGKILL')
    } catch {
      // It has ended meanwhile.
    }
  }
  await ended
}

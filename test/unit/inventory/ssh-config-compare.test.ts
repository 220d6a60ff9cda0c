/** Compares what Muster makes of an SSH config with what the real ssh makes of it (`ssh -G`). */
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { listOf } from '../../../libs/inventory/src/ssh-config/algorithm-lists.ts'
import { type ReadConfig, readConfigFiles } from '../../../libs/inventory/src/ssh-config/config-files.ts'
import { readHostOptions } from '../../../libs/inventory/src/ssh-config/host-options.ts'
import { isNone, settle } from '../../../libs/inventory/src/ssh-config/settings.ts'
import { MADE_HOSTS, makeSshConfig } from '../../support/inventory/ssh-config-maker.ts'
import { temporaryDirectory } from '../../support/inventory/test-inventory.ts'

const CONFIGS = 300
const AT_ONCE = 4
const { username, homedir: home } = userInfo()
const env = { HOME: home, PATH: process.env.PATH, SOCK: '/run/sock' }
const run = promisify(execFile)

/** What is compared: the values of an option by its name in small letters, or that ssh refuses the host. */
type Seen = Readonly<Record<string, readonly string[]>> | 'refused'

const COMPARED = [
  'user',
  'hostname',
  'port',
  'hostkeyalias',
  'identityfile',
  'identitiesonly',
  'identityagent',
  'userknownhostsfile',
  'hostkeyalgorithms',
  'kexalgorithms',
  'connecttimeout',
  'setenv',
  'proxyjump',
  'proxycommand',
]

async function bySsh(file: string, host: string): Promise<Seen> {
  try {
    const { stdout } = await run('ssh', ['-G', '-F', file, host], { env })
    const values: Record<string, string[]> = {}
    for (const line of stdout.trimEnd().split('\n')) {
      const [, option = '', value = ''] = /^(\S+) ?(.*)$/.exec(line) ?? []
      const isUnset = option === 'connecttimeout' && value === '0'
      if (isUnset) values[option] = ['none']
      else if (COMPARED.includes(option)) values[option] = [...(values[option] ?? []), value]
    }
    return values
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
    if (!/terminating|Too many recursive|expand/.test(said)) throw error
    return 'refused'
  }
}

/** The same of ours. What is not set has the value that ssh gives where nothing is configured. */
function byMuster(config: ReadConfig, host: string, usual: Record<string, readonly string[]>): Seen {
  const settings = settle(config, { name: host }, username)
  if (config.mistakes.length > 0 || settings.refused !== undefined) return 'refused'
  const { options, identityFiles } = settings
  const known = readHostOptions(settings, {
    name: host,
    localUser: username,
    home,
    env,
    directory: '',
    proxyPrograms: [],
  })
  const list = (keyword: string) => {
    const line = options.get(keyword)
    const names = usual[keyword]?.[0]?.split(',') ?? []
    return line === undefined ? usual[keyword] : [listOf(line.words[0] ?? '', names).join()]
  }
  const command = options.get('proxycommand')
  const jumps = known.jumps.map(({ written }) => written).join()
  const rest: Record<string, readonly string[] | undefined> = {
    user: [known.user ?? ''],
    hostname: [known.address],
    port: [String(known.port)],
    hostkeyalias: known.hostKeyAlias === undefined ? undefined : [known.hostKeyAlias],
    identityfile: identityFiles.length === 0 ? usual.identityfile : identityFiles.map(({ words }) => words[0] ?? ''),
    identitiesonly: [known.isIdentitiesOnly ? 'yes' : 'no'],
    identityagent: agentOf(known.agent, options.get('identityagent')?.words[0]),
    userknownhostsfile: knownHostsFiles(known.knownHostsFiles, options.get('userknownhostsfile')?.words[0], usual),
    hostkeyalgorithms: list('hostkeyalgorithms'),
    kexalgorithms: list('kexalgorithms'),
    connecttimeout: [known.connectTimeoutMs === undefined ? 'none' : String(known.connectTimeoutMs / 1_000)],
    setenv: options.get('setenv')?.words,
    proxyjump: jumps === '' ? undefined : [jumps],
    proxycommand: command === undefined || isNone(command) ? undefined : [command.rest],
  }
  return Object.fromEntries(
    Object.entries(rest).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}

/** Muster does not take `none`, and says so. */
function knownHostsFiles(
  files: readonly string[] | undefined,
  written: string | undefined,
  usual: Record<string, readonly string[]>,
) {
  if (files !== undefined) return [files.join(' ')]
  return written === 'none' ? [written] : usual.userknownhostsfile
}

function agentOf(agent: { readonly socket: string } | 'none' | undefined, written: string | undefined) {
  if (written?.startsWith('$') && !written.startsWith('${')) return [written]
  if (agent === undefined) return written === undefined ? undefined : [written]
  return [agent === 'none' ? agent : agent.socket]
}

test('hundreds of configs mean to Muster what they mean to ssh', { timeout: 300_000 }, async () => {
  const directory = await temporaryDirectory()
  const nothing = await bySsh('none', 'alpha')
  const usual = nothing === 'refused' ? {} : nothing
  const refused = new Set<number>()
  const compare = async (seed: number) => {
    const made = makeSshConfig(seed, directory)
    await Promise.all([...made.files].map(([file, text]) => writeFile(file, text)))
    const readText = (file: string) => readFile(file, 'utf8')
    const config = await readConfigFiles(await readText(made.file), made.file, { home, readText })
    for (const host of MADE_HOSTS.filter((_, index) => index !== seed % 3)) {
      const [ssh, muster] = [await bySsh(made.file, host), byMuster(config, host, usual)]
      if (ssh === 'refused') refused.add(seed)
      expect({ seed, host, files: made.files, means: muster }).toEqual({ seed, host, files: made.files, means: ssh })
    }
  }
  for (let seed = 0; seed < CONFIGS; seed += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => compare(seed + index)))
  }
  // Both kinds are among them.
  expect(refused.size).toBeGreaterThan(CONFIGS / 20)
  expect(refused.size).toBeLessThan(CONFIGS / 2)
})

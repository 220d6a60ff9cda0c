/**
 * The options of a host that Muster follows, with their values in Muster's terms, and every option that it does not
 * follow. A host that ssh would reach at another address, by another way or as another user is not to be used.
 */
import { isIP } from 'node:net'
import { HOST_KEYS, KEY_EXCHANGES } from '@muster/contract'
import type { NotTaken } from '../hosts/inventory-host.ts'
import { type Algorithms, offered } from './algorithm-lists.ts'
import type { ConfigLine } from './config-files.ts'
import { changesNothing, notTaken } from './not-taken.ts'
import { portOf } from './option-table.ts'
import { type ProgramArgv, proxyProgram } from './proxy-command.ts'
import { type JumpWords, jumpWords } from './proxy-jump.ts'
import { type HostSettings, isNone } from './settings.ts'
import { secondsOf } from './times.ts'
import { connectionHash, expandFileName, type FileNameContext, localTokens, type Tokens } from './tokens.ts'

/** What Muster follows of the settings of one host. What is absent is not set. */
export type HostOptions = {
  readonly address: string
  readonly port: number
  /** Absent: nobody says. */
  readonly user?: string
  readonly hostKeyAlias?: string
  /** The hosts to go through, in order. */
  readonly jumps: readonly JumpWords[]
  /** The program that leads to the host. Absent: it is reached over the network. */
  readonly proxy?: ProgramArgv
  /** Absolute names. Absent: the usual keys; empty: none. */
  readonly identityFiles?: readonly string[]
  readonly isIdentitiesOnly: boolean
  /** The socket of the agent. */
  readonly agent?: { readonly socket: string } | 'none'
  readonly knownHostsFiles?: readonly string[]
  readonly keyExchanges?: readonly string[]
  readonly hostKeys?: readonly string[]
  readonly connectTimeoutMs?: number
  readonly env?: Readonly<Record<string, string>>
  readonly notTaken: readonly NotTaken[]
  /** Why the host must not be used as it is known here. */
  readonly fault?: string
}

/** Where values come from that the config does not have. */
export type OptionContext = Pick<FileNameContext, 'home' | 'directory' | 'env'> & {
  readonly name: string
  /** Who runs Muster. Absent: a user without a name. */
  readonly localUser?: string
  /** The absolute paths of the programs that a ProxyCommand may run. */
  readonly proxyPrograms: readonly string[]
}

/** The socket of ssh's default agent, by its name in the environment. */
const USUAL_AGENT = 'SSH_AUTH_SOCK'
/** Options that say where a host is, how to get there, and who logs in. */
const OF_THE_WAY = new Set(['hostname', 'user', 'port', 'proxyjump', 'proxycommand', 'hostkeyalias'])
const TAKEN = new Set([
  ...OF_THE_WAY,
  'identityfile',
  'identitiesonly',
  'identityagent',
  'userknownhostsfile',
  'hostkeyalgorithms',
  'kexalgorithms',
  'connecttimeout',
  'setenv',
])
const CANONICAL = new Set(['canonicaldomains', 'canonicalizehostname'])
const ALGORITHM_NAME = /^[A-Za-z0-9@.+_-]{1,64}$/

/** The options of the host. */
export function readHostOptions(settings: HostSettings, context: OptionContext): HostOptions {
  return new OptionReader(settings, context).read()
}

class OptionReader {
  readonly #settings: HostSettings
  readonly #context: OptionContext
  readonly #told: NotTaken[] = []
  readonly #faults: string[] = []

  constructor(settings: HostSettings, context: OptionContext) {
    this.#settings = settings
    this.#context = context
  }

  read(): HostOptions {
    const { address } = this.#settings
    const port = portOf(this.#word('port') ?? '') ?? 22
    const user = this.#word('user') ?? this.#context.localUser
    const hostKeyAlias = this.#word('hostkeyalias')?.toLowerCase()
    const jumps = this.#jumps()
    const files = this.#fileNames({ address, port, user, hostKeyAlias, isBehindJump: jumps.length > 0 })
    const identityFiles = this.#identityFiles(files)
    const agent = this.#agent(files)
    const knownHostsFiles = this.#knownHostsFiles(files)
    const keyExchanges = this.#algorithms('kexalgorithms', KEY_EXCHANGES)
    const hostKeys = this.#algorithms('hostkeyalgorithms', HOST_KEYS)
    const connectTimeoutMs = this.#connectTimeoutMs()
    const env = this.#env()
    const proxy = this.#proxy(files.tokens)
    this.#tellTheRest(jumps.length > 0)
    return {
      address,
      port,
      ...(user !== undefined && { user }),
      ...(hostKeyAlias !== undefined && { hostKeyAlias }),
      jumps,
      ...(proxy && { proxy }),
      ...(identityFiles && { identityFiles }),
      isIdentitiesOnly: /^(?:yes|true)$/i.test(this.#word('identitiesonly') ?? 'no'),
      ...(agent && { agent }),
      ...(knownHostsFiles && { knownHostsFiles }),
      ...(keyExchanges && { keyExchanges }),
      ...(hostKeys && { hostKeys }),
      ...(connectTimeoutMs !== undefined && { connectTimeoutMs }),
      ...(env && { env }),
      notTaken: this.#told.toSorted((a, b) => (a.file === b.file ? a.line - b.line : 0)),
      ...this.#fault(),
    }
  }

  #fileNames(known: {
    address: string
    port: number
    user?: string
    hostKeyAlias?: string
    isBehindJump: boolean
  }): FileNameContext {
    const { name, home, directory, env, localUser = '' } = this.#context
    const { address: h, port, user: r = '', hostKeyAlias: k = name } = known
    const plain = { ...localTokens(home, localUser), h, k, n: name, p: String(port), r }
    // Versions of ssh differ in whether the jump host counts.
    const tokens: Tokens = known.isBehindJump ? plain : { ...plain, C: connectionHash(plain) }
    return { home, directory, env, tokens }
  }

  #identityFiles(context: FileNameContext): string[] | undefined {
    const lines = this.#settings.identityFiles
    if (lines.length === 0) return undefined
    return lines.filter((line) => !isNone(line)).flatMap((line) => this.#path(line, line.words[0] ?? '', context))
  }

  #agent(context: FileNameContext): HostOptions['agent'] {
    const line = this.#settings.options.get('identityagent')
    const [value = ''] = line?.words ?? []
    if (line === undefined || value === USUAL_AGENT) return undefined
    if (isNone(line)) return 'none'
    const isVariable = /^\$[A-Za-z_]\w*$/.test(value)
    const [socket] = this.#path(line, isVariable ? `\${${value.slice(1)}}` : value, context)
    return socket === undefined ? 'none' : { socket }
  }

  #knownHostsFiles(context: FileNameContext): string[] | undefined {
    const line = this.#settings.options.get('userknownhostsfile')
    if (line === undefined) return undefined
    if (line.words.every((word) => word === '/dev/null' || word.toLowerCase() === 'none')) {
      this.#tell(line, 'a host key must be known somewhere: the files of MUSTER_KNOWN_HOSTS count')
      return undefined
    }
    const files = line.words.flatMap((word) => this.#path(line, word, context))
    return files.length === 0 ? undefined : files
  }

  /** The file name; nothing, and the reason told, where it is not known. */
  #path(line: ConfigLine, text: string, context: FileNameContext): string[] {
    const { text: path, unknown } = expandFileName(text, context)
    if (unknown === undefined) return [path]
    this.#tell(line, unknown)
    return []
  }

  #algorithms(keyword: string, known: Algorithms): readonly string[] | undefined {
    const line = this.#settings.options.get(keyword)
    if (line === undefined) return undefined
    const { names, missing } = offered(line.words[0] ?? '', known)
    const shown = missing.filter((name) => ALGORITHM_NAME.test(name)).slice(0, 12)
    if (missing.length > 0) this.#tell(line, `Muster cannot offer ${shown.join(', ')}`)
    if (names.length === 0) this.#faults.push(`${line.written} of which Muster can offer none`)
    return names
  }

  #connectTimeoutMs(): number | undefined {
    const seconds = secondsOf(this.#word('connecttimeout') ?? 'none')
    return typeof seconds === 'number' && seconds > 0 ? seconds * 1_000 : undefined
  }

  #env(): Record<string, string> | undefined {
    const line = this.#settings.options.get('setenv')
    if (line === undefined) return undefined
    const pairs = line.words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)])
    // The first value counts when a name is given twice, as with sshd.
    return Object.fromEntries(pairs.toReversed())
  }

  #jumps(): readonly JumpWords[] {
    const line = this.#settings.options.get('proxyjump')
    return line === undefined ? [] : (jumpWords(line.rest) ?? [])
  }

  #proxy(tokens: Tokens): ProgramArgv | undefined {
    const line = this.#settings.options.get('proxycommand')
    if (line === undefined || isNone(line)) return undefined
    const found = proxyProgram(line.rest, tokens, this.#context.proxyPrograms)
    const useFdPass = this.#settings.options.get('proxyusefdpass')
    if ('argv' in found && (useFdPass === undefined || changesNothing(useFdPass))) return found.argv
    this.#tell(line, 'why' in found ? found.why : 'with ProxyUseFdpass the program hands over a connection')
    this.#faults.push('ProxyCommand')
    return undefined
  }

  #tellTheRest(isBehindJump: boolean): void {
    const { options, unsure, unsureMatches } = this.#settings
    const command = options.get('proxycommand')
    const isCanonical = this.#isCanonicalized(isBehindJump || (command !== undefined && !isNone(command)))
    if (isCanonical) this.#faults.push('CanonicalizeHostName')
    const revoked = options.get('revokedhostkeys')
    if (revoked !== undefined && !isNone(revoked)) this.#faults.push('RevokedHostKeys')
    for (const [keyword, line] of options) {
      if (TAKEN.has(keyword) || (CANONICAL.has(keyword) && !isCanonical) || changesNothing(line)) continue
      this.#tell(line)
    }
    for (const match of unsureMatches) this.#tell(match, 'whether it applies is not known without running a program')
    for (const { line } of unsure) this.#tell(line, 'it is below a Match of which nobody knows whether it applies')
    const astray = unsure.filter(({ line, isOpen }) => isOpen && OF_THE_WAY.has(line.keyword))
    const named = new Set(astray.map(({ line }) => line.written))
    if (named.size > 0) this.#faults.push(`Match with ${[...named].join(', ')}`)
  }

  /** Whether ssh would ask a name server for the canonical name of the address. */
  #isCanonicalized(isProxied: boolean): boolean {
    const { address, options } = this.#settings
    const how = this.#word('canonicalizehostname')?.toLowerCase() ?? 'no'
    const domains = options.get('canonicaldomains')
    const dots = address.split('.').length - 1
    const isOff = ['no', 'false'].includes(how) || domains === undefined || isNone(domains)
    if (isOff || (isProxied && how !== 'always')) return false
    return isIP(address) === 0 && dots <= Number(this.#word('canonicalizemaxdots') ?? '1')
  }

  #fault(): { fault?: string } {
    const { refused } = this.#settings
    if (refused !== undefined) {
      const { line, why } = refused
      return { fault: `ssh refuses this host, too: ${line.file}:${line.line}: ${why}` }
    }
    if (this.#faults.length === 0) return {}
    const what = this.#faults.join(' and ')
    return { fault: `its SSH config has ${what}, which Muster does not follow: write the host in inventory.yaml` }
  }

  #word(keyword: string): string | undefined {
    return this.#settings.options.get(keyword)?.words[0]
  }

  #tell(line: ConfigLine, why?: string): void {
    this.#told.push(notTaken(line, why))
  }
}

/**
 * `muster trust`: shows the keys of hosts, asks, and adds them to known_hosts. Workers see them without a restart. A
 * key that is listed is never replaced.
 */
import { escapeLine, knownHostsNames, MusterError, visibleJson } from '@muster/contract'
import type { Environment, Settings } from '@muster/runtime'
import type { AskLine } from '../host-keys/ask-lines.ts'
import { appendKeys, linesFor, readKnownHosts } from '../host-keys/known-hosts-file.ts'
import { findKeyscan, type Scan, type ShownKey, scanHost } from '../host-keys/scan-host.ts'
import { standingOf } from '../host-keys/standing.ts'
import { findTrustedHosts, type TrustedHost } from '../host-keys/trusted-hosts.ts'
import { checkedInput } from '../line/checked-input.ts'
import { ENV_FILE_SWITCH, type Form, JSON_SWITCH, SERVER_SWITCH } from '../line/command.ts'
import { CONNECT_SWITCHES, connectOf } from '../line/connect-flags.ts'
import { EXIT } from '../line/exit-status.ts'
import type { CommandLine } from '../line/flags.ts'

/** A host shows its key before the log-in, so only these fields of the connection matter. */
const WAY_FLAGS: ReadonlySet<string> = new Set(['login-user', 'port', 'jump'])

/** The flags of `muster trust`. */
export const TRUST: Form = {
  flags: [],
  switches: [
    {
      name: 'fingerprint',
      takesValue: true,
      description: 'Trust the host only if it shows the key with this fingerprint, SHA256:…, and add this key alone.',
    },
    { name: 'yes', takesValue: false, description: 'Trust what the hosts show now, without asking.' },
    { name: 'print', takesValue: false, description: 'Print the lines for known_hosts, and add nothing.' },
    ...CONNECT_SWITCHES.filter(({ name }) => WAY_FLAGS.has(name)),
    JSON_SWITCH,
    SERVER_SWITCH,
    ENV_FILE_SWITCH,
  ],
}

/** The surroundings of the command. `withAnswers` is undefined without a terminal. */
export type TrustCli = {
  readonly settings: Settings
  /** For ssh-keyscan. */
  readonly env: Environment
  readonly out: (text: string) => void
  readonly say: (line: string) => void
  readonly withAnswers: (<T>(use: (ask: AskLine) => Promise<T>) => Promise<T>) | undefined
}

const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{43}$/
/** What can stand in known_hosts as one name: no list, pattern, hash or marker. */
const LISTED_NAME = /^[A-Za-z0-9_:[][A-Za-z0-9._:%\][-]*$/
const SCANS_AT_ONCE = 8
/** How often a person is asked again who types something else. */
const MOST_QUESTIONS = 5

/** How it ended for one host, and what there is to say. */
type TrustResult = {
  readonly outcome: 'added' | 'known' | 'printed' | 'refused' | 'unanswered' | 'not_scanned'
  readonly detail: string
  readonly lines?: readonly string[]
}

/** Says which keys of a host a person trusts, or why none. */
type Decide = (host: TrustedHost, keys: readonly ShownKey[]) => Promise<readonly ShownKey[] | TrustResult>

/**
 * Carries out the command. Resolves with the exit status.
 * @throws {Refused} when the server refuses the targets
 * @throws {MusterError} invalid_request; invalid_config when ssh-keyscan is missing or known_hosts cannot be used
 */
export async function trust(line: CommandLine, cli: TrustCli): Promise<number> {
  const { switches, words } = line
  const wanted = wantedFingerprint(line)
  const server = switches.get('server')
  const keyscan = await findKeyscan(cli.env)
  const { connect = {} } = checkedInput('test_host', { host: 'any', ...connectOf(line) })
  const { settings } = cli
  const found = await findTrustedHosts(words, { settings, server: server === true ? undefined : server, connect })
  const { hosts, elsewhere } = found
  if (wanted !== undefined && hosts.length > 1) {
    throw new MusterError('invalid_request', `--fingerprint is for one host; these targets are ${hosts.length}`)
  }
  const isJson = switches.has('json')
  const isPrint = elsewhere !== undefined || switches.has('print')
  const act = async (decide: Decide) => {
    const done: Array<TrustResult & { readonly host: TrustedHost; readonly scan: Scan }> = []
    for (let at = 0; at < hosts.length; at += SCANS_AT_ONCE) {
      const some = hosts.slice(at, at + SCANS_AT_ONCE)
      const scans = await Promise.all(some.map(async (host) => ({ host, scan: await scanned(keyscan, host, cli.env) })))
      for (const { host, scan } of scans) {
        const outcome = await trustHost(host, scan, { decide, isPrint, elsewhere, wanted })
        done.push({ host, scan, ...outcome })
        if (outcome.lines !== undefined && !isJson) cli.out(`${outcome.lines.join('\n')}\n`)
        const told = `${host.name}: ${escapeLine(outcome.detail)}`
        // Where lines are printed, nothing else goes to stdout: they may be piped into a file.
        if (isPrint || isJson) cli.say(told)
        else cli.out(`${told}\n`)
      }
    }
    return done
  }
  const takesAny = switches.has('yes') || isPrint
  const showing = (host: TrustedHost, keys: readonly ShownKey[]) => cli.say(shownText(host, keys))
  const isAsked = wanted === undefined && !takesAny
  const unasked: Decide = async (host, keys) => {
    showing(host, keys)
    if (wanted !== undefined) return withFingerprint(keys, wanted)
    return takesAny ? keys : UNANSWERED
  }
  const { withAnswers } = cli
  const isOnTerminal = isAsked && withAnswers !== undefined
  const done = isOnTerminal ? await withAnswers((ask) => act(askingBy(ask, showing))) : await act(unasked)
  if (elsewhere !== undefined) cli.say(elsewhereText(elsewhere))
  if (isJson) cli.out(`${visibleJson({ hosts: done.map(asJson) })}\n`)
  return exitStatus(done)
}

const UNANSWERED: TrustResult = {
  outcome: 'unanswered',
  detail:
    'nothing was added: there is no terminal to ask on. Compare a fingerprint with the one on the host ' +
    '(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then run this again with --fingerprint SHA256:…, or --yes',
}

function wantedFingerprint({ switches }: CommandLine): string | undefined {
  const given = switches.get('fingerprint')
  if (given === undefined) return undefined
  if (switches.has('yes')) throw new MusterError('invalid_request', '--fingerprint and --yes: give one of them')
  if (FINGERPRINT.test(String(given))) return String(given)
  throw new MusterError('invalid_request', `--fingerprint takes SHA256: and 43 characters, not "${given}"`)
}

async function scanned(keyscan: string, host: TrustedHost, env: Environment): Promise<Scan> {
  const { address, port, jump } = host
  const [name = ''] = knownHostsNames(host)
  if (!LISTED_NAME.test(name)) return { why: `${JSON.stringify(name)} is no name that known_hosts can list` }
  if (jump === null) return await scanHost(keyscan, { address, port }, env)
  const by = `run there: ssh-keyscan -p ${port} ${address}`
  const as = `compare the fingerprints, and add the lines to known_hosts, under the name ${name}`
  return { why: `it is reached through ${jump}, which a scan cannot go through; ${by}; ${as}` }
}

/** `wanted` is the fingerprint given on the command line. The host must show it, even if another key is listed. */
type Terms = {
  readonly decide: Decide
  readonly isPrint: boolean
  readonly elsewhere: string | undefined
  readonly wanted: string | undefined
}

async function trustHost(
  host: TrustedHost,
  scan: Scan,
  { decide, isPrint, elsewhere, wanted }: Terms,
): Promise<TrustResult> {
  if ('why' in scan) return { outcome: 'not_scanned', detail: `cannot be scanned: ${scan.why}` }
  const unwanted = wanted === undefined ? undefined : withFingerprint(scan.keys, wanted)
  if (unwanted !== undefined && 'outcome' in unwanted) return unwanted
  const names = knownHostsNames(host)
  const [name = ''] = names
  const [file] = host.files
  // Reads the file again: another process may have added a line while the person answered.
  const standing = async (): Promise<TrustResult | undefined> => {
    if (elsewhere !== undefined) return undefined
    const found = standingOf(await readKnownHosts(host.files), names, scan.keys)
    if (found.kind === 'unknown') return undefined
    if (found.kind !== 'known') return { outcome: 'refused', detail: `not trusted: ${found.detail}` }
    return { outcome: 'known', detail: `already known, with ${found.fingerprint}; nothing was added` }
  }
  const before = await standing()
  if (before !== undefined) return before
  const decided = await decide(host, scan.keys)
  if ('outcome' in decided) return decided
  const after = await standing()
  if (after !== undefined) return after
  const what = `${decided.length} ${decided.length === 1 ? 'key' : 'keys'}`
  if (isPrint) return { outcome: 'printed', detail: `${what} printed, none added`, lines: linesFor(name, decided) }
  await appendKeys(file, name, decided)
  return { outcome: 'added', detail: `${what} added to ${file}` }
}

function askingBy(ask: AskLine, show: (host: TrustedHost, keys: readonly ShownKey[]) => void): Decide {
  return async (host, keys) => {
    show(host, keys)
    let question = `Trust it and add its keys to ${escapeLine(host.files[0])} (yes/no/[fingerprint])? `
    for (let asked = 0; asked < MOST_QUESTIONS; asked += 1) {
      const answer = await ask(question)
      if (answer === undefined || /^no?$/i.test(answer)) break
      if (/^yes$/i.test(answer)) return keys
      if (FINGERPRINT.test(answer)) return withFingerprint(keys, answer)
      question = 'Please type yes, no, or the fingerprint that the host should have: '
    }
    return { outcome: 'refused', detail: 'not trusted; nothing was added' }
  }
}

/**
 * The key with this fingerprint, and no other: a matching public key does not prove that the same host sent the rest of
 * the scan.
 */
function withFingerprint(keys: readonly ShownKey[], fingerprint: string): readonly ShownKey[] | TrustResult {
  const same = keys.filter((key) => key.fingerprint === fingerprint)
  if (same.length > 0) return same
  const shown = keys.map((key) => key.fingerprint).join(', ')
  const detail = `not trusted: it shows ${shown}, and not ${fingerprint}; nothing was added`
  return { outcome: 'refused', detail }
}

function shownText(host: TrustedHost, keys: readonly ShownKey[]): string {
  const [name = ''] = knownHostsNames(host)
  const lines = keys.map(({ type, fingerprint }) => `  ${type.padEnd(20)} ${fingerprint}`)
  return [`${host.name} (${name}) shows:`, ...lines].join('\n')
}

function elsewhereText(url: string): string {
  return (
    `The workers of ${url} have known_hosts of their own, which this command cannot write. Compare the fingerprints ` +
    'with those on the hosts, then add the lines there, to a file of MUSTER_KNOWN_HOSTS of the workers; without that ' +
    'setting it is ~/.ssh/known_hosts of their user. No restart is needed.'
  )
}

function asJson({ host, scan, outcome, detail, lines }: TrustResult & { host: TrustedHost; scan: Scan }) {
  const [listed_as = ''] = knownHostsNames(host)
  const keys = 'why' in scan ? [] : scan.keys.map(({ type, fingerprint }) => ({ type, fingerprint }))
  return { host: host.name, listed_as, outcome, detail, keys, lines: lines ?? [] }
}

/** Undecided hosts make the call wrong, as for a job; a host that was not reached counts least. */
function exitStatus(done: readonly TrustResult[]): number {
  const has = (outcome: TrustResult['outcome']) => done.some((one) => one.outcome === outcome)
  if (has('unanswered')) return EXIT.usage
  if (has('refused')) return EXIT.someFailed
  return has('not_scanned') ? EXIT.onlyUnreached : EXIT.succeeded
}

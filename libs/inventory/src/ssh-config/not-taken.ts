/** Why options of an SSH config are not taken, in words for the person who wrote them. */
import type { NotTaken } from '../hosts/inventory-host.ts'
import type { ConfigLine } from './config-files.ts'
import { shownWord } from './line-words.ts'
import { isObsolete, isOption } from './option-table.ts'

const REASONS: readonly (readonly [why: string, options: string])[] = [
  [
    'nothing is forwarded',
    `clearallforwardings dynamicforward exitonforwardfailure forwardagent forwardx11 forwardx11timeout
    forwardx11trusted gatewayports localforward permitremoteopen remoteforward streamlocalbindmask
    streamlocalbindunlink tunnel tunneldevice xauthlocation`,
  ],
  [
    'host keys are always checked, and never added by themselves',
    `checkhostip hashknownhosts nohostauthenticationforlocalhost stricthostkeychecking updatehostkeys verifyhostkeydns
    visualhostkey`,
  ],
  ['the other files of MUSTER_KNOWN_HOSTS stand for it', 'globalknownhostsfile'],
  [
    'it would run a program, or load one',
    `knownhostscommand localcommand permitlocalcommand pkcs11provider securitykeyprovider
    smartcarddevice`,
  ],
  [
    'it is for ssh at a terminal',
    `addkeystoagent batchmode controlmaster controlpath controlpersist enableescapecommandline escapechar
    fingerprinthash forkafterauthentication loglevel logverbose numberofpasswordprompts remotecommand requesttty
    sessiontype stdinnull syslogfacility usekeychain warnweakcrypto`,
  ],
  [
    'Muster has a way of its own',
    'compression connectionattempts ipqos rekeylimit serveralivecountmax serveraliveinterval tcpkeepalive',
  ],
  ['variables of a worker do not go to hosts: use SetEnv, or the env of a job', 'sendenv'],
  ['a certificate is taken from the file beside its key, KEY-cert.pub', 'certificatefile'],
  ['no name server is asked for another name', 'canonicaldomains canonicalizehostname canonicalizepermittedcnames'],
]

const WHY: ReadonlyMap<string, string> = new Map(
  REASONS.flatMap(([why, options]) => options.split(/\s+/).map((option) => [option, why] as const)),
)

/** To say no to these changes something. To the others it says only what is so anyway. */
const MATTERS_WITHOUT = new Set([
  'pubkeyauthentication',
  'dsaauthentication',
  'passwordauthentication',
  'kbdinteractiveauthentication',
  'challengeresponseauthentication',
  'stricthostkeychecking',
  'tcpkeepalive',
])

/** That an option is not taken; `why` where the table does not say it. */
export function notTaken(line: ConfigLine, why?: string): NotTaken {
  const because = why ?? WHY.get(line.keyword) ?? 'Muster has nothing like it'
  return { option: shownWord(line.written), file: line.file, line: line.line, why: because }
}

/** Whether ssh itself would do the same with the line and without it, as far as Muster is concerned. */
export function changesNothing({ keyword, words }: ConfigLine): boolean {
  if (!isOption(keyword) || isObsolete(keyword) || keyword === 'ignoreunknown') return true
  const value = words[0]?.toLowerCase() ?? ''
  if (keyword === 'stricthostkeychecking') return ['yes', 'true', 'ask'].includes(value)
  return ['no', 'false', 'none'].includes(value) && !MATTERS_WITHOUT.has(keyword)
}

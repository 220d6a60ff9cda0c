/**
 * The options that OpenSSH knows, and the form of their values: a line that `ssh` refuses is refused here, too. Options
 * of newer versions, and those that Apple and Debian have added, are known as well.
 *
 * What an option means is not said here: settings.ts has those that are followed, not-taken.ts the others.
 * @see ssh_config(5)
 */
import { secondsOf } from './times.ts'

/** The form of a value: one word, one or more, a switch, a time, a number, or the rest of the line. */
type Form = 'word' | 'words' | 'switch' | 'time' | 'number' | 'line' | 'obsolete'

const BY_FORM: readonly (readonly [Form, string])[] = [
  [
    'word',
    `addressfamily bindaddress bindinterface canonicalizehostname casignaturealgorithms certificatefile ciphers
    compression controlmaster controlpath controlpersist dsaauthentication dynamicforward escapechar fingerprinthash
    forwardagent gssapiclientidentity gssapikexalgorithms gssapiserveridentity hostbasedacceptedalgorithms
    hostbasedkeytypes hostkeyalgorithms hostkeyalias hostname identityagent identityfile ignoreunknown
    kbdinteractivedevices kexalgorithms loglevel macs obscurekeystroketiming pkcs11provider port
    preferredauthentications pubkeyacceptedalgorithms pubkeyacceptedkeytypes pubkeyauthentication refuseconnection
    requesttty revokedhostkeys securitykeyprovider sessiontype smartcarddevice streamlocalbindmask
    stricthostkeychecking syslogfacility tag tunnel tunneldevice updatehostkeys user verifyhostkeydns versionaddendum
    warnweakcrypto xauthlocation`,
  ],
  [
    'words',
    `addkeystoagent canonicaldomains canonicalizepermittedcnames channeltimeout globalknownhostsfile host include
    ipqos localforward logverbose permitremoteopen rekeylimit remoteforward sendenv setenv userknownhostsfile`,
  ],
  [
    'switch',
    `batchmode canonicalizefallbacklocal challengeresponseauthentication checkhostip clearallforwardings
    enableescapecommandline enablesshkeysign exitonforwardfailure forkafterauthentication forwardx11
    forwardx11trusted gatewayports gssapiauthentication gssapidelegatecredentials gssapikeyexchange
    gssapirenewalforcesrekey gssapitrustdns hashknownhosts hostbasedauthentication identitiesonly keepalive
    kbdinteractiveauthentication nohostauthenticationforlocalhost passwordauthentication permitlocalcommand
    proxyusefdpass skeyauthentication stdinnull streamlocalbindunlink tcpkeepalive tisauthentication usekeychain
    visualhostkey`,
  ],
  ['time', 'connecttimeout forwardx11timeout serveraliveinterval'],
  ['number', 'canonicalizemaxdots connectionattempts numberofpasswordprompts requiredrsasize serveralivecountmax'],
  ['line', 'knownhostscommand localcommand match proxycommand proxyjump remotecommand'],
  [
    'obsolete',
    `afstokenpassing cipher compressionlevel fallbacktorsh globalknownhostsfile2 kerberosauthentication
    kerberostgtpassing protocol rhostsauthentication rhostsrsaauthentication rsaauthentication userknownhostsfile2
    useprivilegedport useroaming usersh`,
  ],
]

const FORMS: ReadonlyMap<string, Form> = new Map(
  BY_FORM.flatMap(([form, names]) => names.split(/\s+/).map((name) => [name, form] as const)),
)

/** Whether OpenSSH has, or had, an option of this name in lower case. */
export function isOption(keyword: string): boolean {
  return FORMS.has(keyword)
}

/** Whether the option does nothing any more. */
export function isObsolete(keyword: string): boolean {
  return FORMS.get(keyword) === 'obsolete'
}

/** What is wrong with the value of an option that is known; undefined for nothing. No text shows the value. */
export function valueFault(keyword: string, words: readonly string[]): string | undefined {
  const form = FORMS.get(keyword)
  const [first = '', ...more] = words
  if (form === undefined || form === 'obsolete' || form === 'line') return undefined
  if (first === '') return 'missing argument'
  if (form === 'words') return words.includes('') ? 'empty argument' : listFault(keyword, words)
  if (more.length > 0) return 'extra arguments at the end of the line'
  if (form === 'switch' && !/^(?:yes|no|true|false)$/i.test(first)) return 'expected yes or no'
  if (form === 'time' && secondsOf(first) === undefined) return 'invalid time value'
  if (form === 'number' && !/^[+-]?\d{1,10}$/.test(first)) return 'expected a number'
  if (keyword === 'port' && portOf(first) === undefined) return 'bad port: expected 1 to 65535'
  return undefined
}

function listFault(keyword: string, words: readonly string[]): string | undefined {
  const isFiles = keyword === 'userknownhostsfile' || keyword === 'globalknownhostsfile'
  const hasNone = words.some((word) => word.toLowerCase() === 'none')
  if (isFiles && hasNone && words.length > 1) return '"none" must appear alone'
  if (keyword === 'setenv' && words.some((word) => !word.includes('='))) return 'expected NAME=VALUE'
  if (keyword === 'sendenv' && words.some((word) => word.includes('='))) return 'expected names of variables'
  return undefined
}

/** The port that a text gives, as a number or by the one name of a service that an SSH config may need. */
export function portOf(text: string): number | undefined {
  if (text === 'ssh') return 22
  if (!/^\s*\+?\d{1,9}$/.test(text)) return undefined
  const port = Number(text)
  return port >= 1 && port <= 65_535 ? port : undefined
}

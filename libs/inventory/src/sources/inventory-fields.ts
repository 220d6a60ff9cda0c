/**
 * The fields of `inventory.yaml`: their schemas, and what is wrong with an entry, field by field.
 *
 * This looks at one entry at a time; `join/` checks names, jump hosts and groups. No text quotes the value of a field
 * that could hold a secret.
 */
import { isIP } from 'node:net'
import { expandRanges, isHostName, MusterError } from '@muster/contract'
import { z } from 'zod'
import type { Mistake } from '../hosts/mistakes.ts'
import { nearest } from '../targets/nearest.ts'
import { nameHere } from './foreign-inventory.ts'
import type { YamlEntry } from './yaml-entries.ts'

const PORT_LIMIT = 65_535

const Text = z.string({ error: 'expected text' }).min(1, 'has no value')
const FilePath = Text.refine((path) => !/^~[^/]/.test(path), 'only ~/ is known, not the home of another user')
/** Variables with Muster's keys and the passwords of all hosts. MUSTER_SECRET_… are there for the inventory. */
const OWN_VARIABLE = /^(MUSTER_(?!SECRET_).*|REDIS_URL|SSH_SERVERS)(_FILE)?$/
const VariableName = Text.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected the name of an environment variable').refine(
  (name) => !OWN_VARIABLE.test(name),
  "this is one of Muster's own variables, which must not be sent to a host; give the secret a variable of its own",
)
const Refused = (instead: string) => z.never({ error: `a secret has no place in this file; use ${instead}` }).optional()

const UserName = Text.regex(/^[^\s:@-][^\s:]*$/, 'expected a user name without spaces and ":"')
const Port = Text.superRefine((text, context) => {
  const ports = expanded(text, context)
  const bad = ports.find((port) => !/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > PORT_LIMIT)
  if (bad !== undefined) context.addIssue(`expected a port from 1 to ${PORT_LIMIT}, not "${bad}"`)
})
const Address = Text.superRefine((text, context) => {
  if (text.includes('@')) {
    // Do not quote the value: a password may stand before the "@".
    context.addIssue('expected a host name or an IP address; the user has a field of its own')
    return
  }
  const bad = expandAddress(text, context).find((address) => !isAddress(address))
  if (bad === undefined) return
  const [, address] = /^([^:]+):\d+$/.exec(bad) ?? []
  if (address !== undefined) context.addIssue(`expected "${address}"; the port has a field of its own`)
  else context.addIssue(`expected a host name or an IP address, not "${bad}"`)
})
const HostReference = Text.refine(isHostName, 'expected the name of one host of the inventory')

/** One name, or a list; each may hold a range. */
const Aliases = z
  .union([Text, z.array(Text)], { error: 'expected other names of the host, such as [www, web-old]' })
  .superRefine((names, context) => {
    const bad = [names].flat().find((name) => name !== '' && !expanded(name, context).every(isHostName))
    if (bad !== undefined) context.addIssue('a name has letters, digits, ".", "_" and "-" only; several are a list')
  })

/** `true`, or a reason; `false` is the same as no field. Other words for true and false would look like reasons. */
const Disabled = Text.max(200, 'at most 200 characters')
  .refine((text) => !/^(yes|no|on|off|y|n|0|1|null|~)$/i.test(text), 'expected true, false, or why in words')
  .refine((text) => !/\p{Cc}/u.test(text), 'expected one line of text')

/** A label must be something that a term such as `{env=prod}` can express. */
const LABEL_KEY = /^[A-Za-z0-9][A-Za-z0-9._/-]*$/
const LABEL_VALUE = /^[^\s,{}=!&|]+(?: +[^\s,{}=!&|]+)*$/

const Labels = z
  .record(z.string(), Text, { error: 'expected labels such as { env: prod }' })
  .superRefine((labels, context) => {
    for (const [key, value] of Object.entries(labels)) {
      const path = [key]
      const keyRule = 'a label name has letters, digits, ".", "_", "/" and "-" only'
      const valueRule = 'a label value has none of , { } = ! & | in it'
      if (!LABEL_KEY.test(key)) context.addIssue({ code: 'custom', path, message: keyRule })
      else if (!LABEL_VALUE.test(value)) context.addIssue({ code: 'custom', path, message: valueRule })
    }
  })

/** No command line of a program that gives a secret is longer. */
const ARGUMENTS_LIMIT = 64

const Argument = z.string({ error: 'expected text' }).refine((text) => !text.includes('\0'), 'expected text')
const CredentialCommand = z
  .array(Argument, { error: 'expected a program and its arguments, such as [/etc/muster/bin/from-vault, prod]' })
  .max(ARGUMENTS_LIMIT, `at most ${ARGUMENTS_LIMIT} words`)
  .refine(([program = '']) => /^(\/|~\/)./.test(program), 'the program is an absolute path, or one that begins with ~/')
const GivenKind = z.enum(['password', 'sudo_password', 'passphrase', 'key'], {
  error: 'expected password, sudo_password, passphrase or key',
})
const GivenKinds = z
  .union([GivenKind, z.array(GivenKind).min(1)], {
    error: 'expected password, sudo_password, passphrase or key; several are a list',
  })
  .transform((kinds) => [kinds].flat())
const TTL_LIMIT_S = 3_600
const CredentialTtl = Text.refine(
  (text) => /^\d{1,4}$/.test(text) && Number(text) <= TTL_LIMIT_S,
  `expected seconds, from 0 (ask each time) to ${TTL_LIMIT_S}`,
).transform(Number)

const credentialFields = {
  identity_file: FilePath.optional(),
  certificate_file: FilePath.optional(),
  certificate: z.literal('per_run', { error: 'expected per_run; one in a file is certificate_file' }).optional(),
  certificate_command: CredentialCommand.optional(),
  certificate_authority_file: FilePath.optional(),
  passphrase_file: FilePath.optional(),
  passphrase_env: VariableName.optional(),
  password_file: FilePath.optional(),
  password_env: VariableName.optional(),
  sudo_password_file: FilePath.optional(),
  sudo_password_env: VariableName.optional(),
  credential_command: CredentialCommand.optional(),
  credential_kinds: GivenKinds.optional(),
  credential_ttl_s: CredentialTtl.optional(),
  agent: z.literal('true', { error: 'expected true; to do without the agent, leave it out' }).optional(),
}

const refusedFields = {
  password: Refused('password_file or password_env'),
  passphrase: Refused('passphrase_file or passphrase_env'),
  sudo_password: Refused('sudo_password_file or sudo_password_env'),
}

/** The fields of the section `defaults`. */
export const Defaults = z.strictObject({
  user: UserName.optional(),
  port: Port.refine((port) => !port.includes('['), 'one port for all hosts, not a range').optional(),
  ...credentialFields,
  ...refusedFields,
})
export type Defaults = z.infer<typeof Defaults>

const TextOrTexts = z.union([Text, z.array(Text).min(1)], { error: 'expected text, or a list such as [a, b]' })

/** The fields of an entry of the section `credentials`. */
export const CredentialFields = z.strictObject({
  hosts: TextOrTexts.optional(),
  users: z.union([UserName, z.array(UserName).min(1)], { error: 'expected a user, or a list of users' }).optional(),
  ...credentialFields,
  ...refusedFields,
})
export type CredentialFields = z.infer<typeof CredentialFields>

/**
 * The fields of a host. All are texts, except for lists of `aliases`. `aliases`, `address` and `port` may hold ranges.
 */
export const HostFields = z.strictObject({
  address: Address.optional(),
  aliases: Aliases.optional(),
  user: UserName.optional(),
  port: Port.optional(),
  jump: HostReference.optional(),
  host_key_alias: Text.optional(),
  algorithms: z.literal('legacy', { error: "expected legacy; without it, today's algorithms are used" }).optional(),
  labels: Labels.optional(),
  disabled: Disabled.optional(),
  ...credentialFields,
  ...refusedFields,
})
export type HostFields = z.infer<typeof HostFields>

/**
 * The fields of an entry, and everything that is wrong with it. `fields` lacks the fields with mistakes, so that the
 * rest can still be checked.
 */
export function readFields<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  entry: YamlEntry,
  position: { source: string; path: string },
): { fields: z.infer<z.ZodObject<Shape>>; mistakes: Mistake[] } {
  const mistakes: Mistake[] = []
  const report = (path: readonly PropertyKey[], text: string) => {
    const shown = [position.path, ...path.map((key) => withoutValue(String(key)))].join('.')
    mistakes.push({ position: { source: position.source, line: entry.lineAt(path), path: shown }, text })
  }
  const keys = entry.entries()?.map(({ key }) => key)
  if (keys === undefined && entry.value() !== '') report([], 'expected fields, such as { address: 10.0.0.11 }')
  const known = Object.keys(schema.shape).filter((field) => !(field in refusedFields))
  const record = z.record(z.string(), z.unknown()).catch({}).parse(entry.value())
  const parsed = schema.safeParse(record)
  reportConflicts(new Set(keys), record.credential_kinds, report)
  if (parsed.success) return { fields: parsed.data, mistakes }
  const bad = new Set<PropertyKey>()
  for (const issue of parsed.error.issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        bad.add(key)
        report([key], unknownName('field', key, known))
      }
      continue
    }
    if (issue.path[0] !== undefined) bad.add(issue.path[0])
    report(issue.path, issue.message)
  }
  return { fields: schema.parse(Object.fromEntries(Object.entries(record).filter(([key]) => !bad.has(key)))), mistakes }
}

/** For example `unknown field; did you mean "port"?`; when no known name is close, it lists them all. */
export function unknownName(what: string, name: string, known: readonly string[]): string {
  const here = nameHere(name)
  if (here !== undefined && known.includes(here)) return `unknown ${what}; here it is called "${here}"`
  const [closest] = nearest(name, known)
  return closest === undefined
    ? `unknown ${what}; known are ${known.join(', ')}`
    : `unknown ${what}; did you mean "${closest}"?`
}

/** The key as far as it may be shown: `{password:hunter2}` without a space is one key with a secret in it. */
export function withoutValue(key: string): string {
  const [word = ''] = /^[\w.,@[\]-]*/.exec(key) ?? []
  return word === key ? key : `${word}…`
}

function reportConflicts(
  keys: ReadonlySet<string>,
  givenKinds: unknown,
  report: (path: readonly string[], text: string) => void,
): void {
  const given = new Set(
    keys.has('credential_command') ? (GivenKinds.safeParse(givenKinds ?? 'password').data ?? []) : [],
  )
  for (const field of ['credential_kinds', 'credential_ttl_s']) {
    if (keys.has(field) && !keys.has('credential_command')) report([field], 'give credential_command beside it')
  }
  for (const secret of ['password', 'passphrase', 'sudo_password'] as const) {
    const ways = [`${secret}_file`, `${secret}_env`].filter((field) => keys.has(field))
    const [first, second = given.has(secret) ? 'credential_kinds' : undefined] = ways
    const same = `the same secret as ${first}; give one of the two`
    if (first !== undefined && second !== undefined) report([second], same)
  }
  if (keys.has('certificate_file') && !keys.has('identity_file')) {
    report(['certificate_file'], 'a certificate of which key? give identity_file beside it')
  }
  reportCertificates(keys, given, report)
  if (given.has('key') && keys.has('identity_file')) report(['credential_kinds'], 'a key and identity_file; give one')
  const isOfCommand = given.has('passphrase') ? 'credential_kinds' : undefined
  const passphrase = ['passphrase_file', 'passphrase_env'].find((field) => keys.has(field)) ?? isOfCommand
  const isOfKey = keys.has('identity_file') || keys.has('certificate_authority_file') || given.has('key')
  if (passphrase !== undefined && !isOfKey) {
    report([passphrase], 'a passphrase of which key? give identity_file beside it')
  }
}

function reportCertificates(
  keys: ReadonlySet<string>,
  given: ReadonlySet<string>,
  report: (path: readonly string[], text: string) => void,
): void {
  const ways = ['certificate_command', 'certificate_authority_file'].filter((field) => keys.has(field))
  const [way, second] = ways
  if (second !== undefined) report([second], `another way to certify than ${way}; give one of the two`)
  if (!keys.has('certificate')) {
    if (way !== undefined) report([way], 'give "certificate: per_run" beside it')
    return
  }
  if (way === undefined) report(['certificate'], 'give certificate_command or certificate_authority_file beside it')
  const isGiven = given.has('key') ? ['credential_kinds'] : []
  const [other] = [...['identity_file', 'agent'].filter((field) => keys.has(field)), ...isGiven]
  if (other !== undefined) report([other], 'with "certificate: per_run" the key of the run is the only one')
}

/** The addresses that the text stands for. The brackets of `[2001:db8::1]` are no range. */
export function expandAddress(text: string, context?: z.RefinementCtx): string[] {
  const [, literal] = /^\[([^\]]*:[^\]]*)\]$/.exec(text) ?? []
  return literal === undefined ? expanded(text, context) : [literal]
}

/**
 * Whether the text can be dialled: a host name, an IPv4 or an IPv6 address. Other numbers with dots are refused:
 * resolvers read 10.1 as 10.0.0.1, 010 as 0.0.0.8, and 0x7f.1 as 127.0.0.1.
 */
export function isAddress(text: string): boolean {
  return isIP(text) !== 0 || (isHostName(text) && !text.split('.').every((part) => /^(\d*|0x[\da-f]*)$/i.test(part)))
}

/** The text with its ranges expanded. A malformed range becomes an issue of the context and stands for nothing. */
function expanded(text: string, context?: z.RefinementCtx): string[] {
  try {
    return expandRanges(text)
  } catch (error) {
    if (!(error instanceof MusterError) || context === undefined) throw error
    context.addIssue(error.message)
    return []
  }
}

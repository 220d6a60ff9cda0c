/**
 * A request for a job: one command, the hosts it runs on, and how. The limits are here, so that every surface refuses
 * the same things.
 */
import { z } from 'zod'
import { connectField } from '../targets/connect.ts'
import { connectWithSecretsField } from '../targets/connect-secrets.ts'
import { selectionFields } from '../targets/selection.ts'
import { Environment, InputText, ScriptText, Words, WordText } from '../text/command-text.ts'
import { scriptMistake } from '../text/script-text.ts'
import { rolloutOptions, userName } from './rollout.ts'
import { areSecretsWithin, SECRETS_TOO_LONG, secretFields, secretsIn } from './secrets.ts'

/** Longest time a call may wait: clients and proxies give up after 45 to 60 s. */
export const WAIT_LIMIT_S = 45

/** The usual limit for reaching a host. With less, a host that does not answer has not had a fair chance. */
export const CONNECT_TIMEOUT_S = 15
/** The most of it. */
export const CONNECT_TIMEOUT_LIMIT_S = 300

const ExecTimeout = z
  .number()
  .min(0.1)
  .max(7 * 24 * 3600)

const A_RETRIED_END = 'expected an exit code from 1 to 255, "lost" or "timed_out"'

/** What to run, and how: everything about a job except its hosts. Durations are in seconds. */
const JobOptions = z.object({
  command: WordText.min(1).optional().describe('A shell command line, run by the login shell of the account.'),
  argv: Words.min(1)
    .optional()
    .describe('A program and its arguments, each passed exactly as given; no shell reads them.'),
  script: ScriptText.optional().describe(
    'A script, run by the interpreter of its "#!" line, or by sh without one. At most 16 MiB.',
  ),
  script_args: Words.optional().describe('Arguments of the script, each passed exactly as given. Only with script.'),
  stdin: InputText.optional().describe(
    'What the command, program or script reads on stdin, which is empty without it. At most 16 MiB.',
  ),
  cwd: WordText.min(1).optional().describe('Directory to run in.'),
  env: Environment.optional().describe('Environment variables. They never appear on a command line.'),
  connect: connectField,
  ...rolloutOptions,
  start_deadline_s: z
    .number()
    .min(0.1)
    .max(7 * 24 * 3600)
    .default(3600)
    .describe(
      'Limit from submit to the start on a host; what has not started by then is skipped. With batches it is counted ' +
        'from the start of each batch, and it is the longest that a job stays paused.',
    ),
  job_timeout_s: z
    .number()
    .min(0.1)
    .max(14 * 24 * 3600)
    .optional()
    .describe('Limit for the whole job: then nothing more starts, and what runs is killed. None unless given.'),
  connect_timeout_s: z
    .number()
    .min(0.1)
    .max(CONNECT_TIMEOUT_LIMIT_S)
    .default(CONNECT_TIMEOUT_S)
    .describe(
      'Limit for reaching a host: look-up of its name, TCP, handshake and authentication together. Waiting for its ' +
        'jump host, or for other handshakes of the worker, may take as long again.',
    ),
  exec_timeout_s: ExecTimeout.default(300).describe('Limit from sending the command to its exit; then it is killed.'),
  idle_timeout_s: z
    .number()
    .min(0.1)
    .max(7 * 24 * 3600)
    .optional()
    .describe('Longest time without output from the command; then it is killed. None unless given.'),
  kill_grace_s: z.number().min(0).max(60).default(5).describe('Time between TERM and KILL.'),
  retries: z
    .number()
    .int()
    .min(0)
    .max(10)
    .default(2)
    .describe('How often a host is tried again when the command has certainly not started there.'),
  retry_backoff_s: z
    .number()
    .min(0)
    .max(600)
    .default(2)
    .describe('Time before the first retry, with jitter; doubled each time.'),
  retry_on: z
    .array(
      z.union(
        [z.enum(['lost', 'timed_out'], A_RETRIED_END), z.number().int().min(1, A_RETRIED_END).max(255, A_RETRIED_END)],
        A_RETRIED_END,
      ),
    )
    .max(50)
    .optional()
    .describe(
      'Also retry after these ends: exit codes, "lost", "timed_out". Only for commands that ' +
        'do no harm when they run twice, for "lost" even at the same time: what is lost may still run.',
    ),
  durable: z
    .boolean()
    .default(false)
    .describe('Run detached on the host: survives the worker and the connection, and its true result is fetched.'),
  sudo: z.boolean().default(false).describe('Run as root, or as run_as, by sudo.'),
  run_as: userName.optional().describe('The user to run as, by sudo. Implies sudo.'),
  output_limit_bytes: z
    .number()
    .int()
    .min(1_024)
    .max(16 * 1024 * 1024)
    .default(1024 * 1024)
    .describe('Kept per stream and run; above it head and tail are kept and the middle is counted.'),
  title: z
    .string()
    .min(1)
    .max(80)
    .optional()
    .describe('A name for lists and Bull Board. Without one, the name of the program is shown.'),
})

function exactlyOneForm(options: { command?: unknown; argv?: unknown; script?: unknown }): boolean {
  const forms = [options.command, options.argv, options.script].filter((form) => form !== undefined)
  return forms.length === 1
}

function hasBatches({ gate, batches, canary }: { gate: string; batches?: unknown; canary?: unknown }): boolean {
  return gate === 'auto' || batches !== undefined || canary !== undefined
}

/** Names a request, so that it makes one job however often it is sent. */
export const IdempotencyKey = z
  .string()
  .min(1)
  .max(200)
  .describe('Same key and same request: the same job, however often it is sent. Kept for 24 hours.')

/** A request to run a command. */
export const Submit = JobOptions.extend({
  ...selectionFields,
  ...secretFields,
  connect: connectWithSecretsField,
  keep_secrets: z
    .boolean()
    .default(false)
    .describe('Keep the sealed secrets for as long as the job, so that a rerun has them. Else they go with its end.'),
  idempotency_key: IdempotencyKey.optional(),
  wait_s: z
    .number()
    .min(0)
    .max(WAIT_LIMIT_S)
    .default(0)
    .describe('Answer when the job has ended, or after this many seconds, whichever comes first.'),
})
  .refine(exactlyOneForm, { message: 'give exactly one of command, argv and script', path: ['command'] })
  .refine((submit) => submit.batches === undefined || submit.canary === undefined, {
    message: 'canary is short for batches, so only one of them can be given',
    path: ['canary'],
  })
  .refine(hasBatches, {
    message: 'manual gates are between batches: give batches or canary too',
    path: ['gate'],
  })
  .refine((submit) => submit.batch_pause_s === 0 || submit.batches !== undefined || submit.canary !== undefined, {
    message: 'the pause is between batches: give batches or canary too',
    path: ['batch_pause_s'],
  })
  .refine((submit) => submit.script_args === undefined || submit.script !== undefined, {
    message: 'arguments of a script were given without a script; those of a program belong in argv',
    path: ['script_args'],
  })
  .refine((submit) => submit.sudo_password === undefined || submit.sudo || submit.run_as !== undefined, {
    message: 'a password for sudo was given, but not sudo or run_as',
    path: ['sudo_password'],
  })
  .refine(({ env = {}, secret_env = {} }) => !Object.keys(secret_env).some((name) => Object.hasOwn(env, name)), {
    message: 'a variable is in env and in secret_env: give each once',
    path: ['secret_env'],
  })
  .refine((submit) => submit.secret_stdin === undefined || submit.stdin === undefined, {
    message: 'a command has one stdin: give either stdin or secret_stdin',
    path: ['secret_stdin'],
  })
  .refine((submit) => !submit.keep_secrets || secretsIn(submit) !== undefined, {
    message: 'there are no secrets to keep: give sudo_password, secret_env, secret_stdin or one of connect',
    path: ['keep_secrets'],
  })
  .refine(areSecretsWithin, { message: SECRETS_TOO_LONG, path: ['secret_stdin'] })
  .superRefine(({ script }, context) => {
    const mistake = script === undefined ? undefined : scriptMistake(script)
    if (mistake !== undefined) context.addIssue({ code: 'custom', message: mistake, path: ['script'] })
  })
export type Submit = z.infer<typeof Submit>

/** What a worker needs to run a job on a host: the options, with defaults filled in, and what secrets there are. */
export const JobSpec = JobOptions.extend({
  /** The names of its secrets (secrets.ts). A worker does not run the job without them. Absent: it has none. */
  secrets: z.array(z.string()).optional(),
})
export type JobSpec = z.infer<typeof JobSpec>
